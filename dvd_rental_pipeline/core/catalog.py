"""The terms in which a source is declared: domain, table, column. No Dagster and no database in here."""

from dataclasses import dataclass
from enum import StrEnum


class Privacy(StrEnum):
    """How far a column may travel."""

    PUBLIC = "public"
    PERSONAL = "personal"  # only where a team needs it, and masked in production
    SECRET = "secret"  # noqa: S105 - not a password; never leaves the raw layer


class FreshnessTier(StrEnum):
    """How soon a change in the source must be visible. `automation/freshness.py` gives each its window."""

    TRANSACTIONS = "transactions"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Column:
    """A column of a source table; `type` is PostgreSQL's own name for it, as `format_type` prints it."""

    name: str
    type: str
    description: str
    nullable: bool = False
    privacy: Privacy = Privacy.PUBLIC


@dataclass(frozen=True)
class Table:
    """A source table that is replicated whole.

    `history` names the columns of which the warehouse keeps past states, beside the key; none: no history.
    """

    name: str
    grain: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    tier: FreshnessTier = FreshnessTier.REFERENCE
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class Domain:
    """A source database.

    `name` is the first part of its tables' asset keys, the name of the dbt source and the schema of the raw
    tables; `source_schema` is where the tables stand in PostgreSQL.
    """

    name: str
    source_schema: str
    description: str
    owner: str
    tables: tuple[Table, ...]

    @property
    def leader(self) -> Table:
        """The table by which to tell whether the domain is up to date: all are synced together."""
        transactions = [table for table in self.tables if table.tier is FreshnessTier.TRANSACTIONS]
        return (transactions or list(self.tables))[0]

    def primary_keys(self) -> dict[str, tuple[str, ...]]:
        """Primary key columns by table name."""
        return {table.name: table.primary_key for table in self.tables}

    def history(self) -> dict[str, tuple[str, ...]]:
        """Columns whose past states are kept, of the tables that have any."""
        return {table.name: table.history for table in self.tables if table.history}


CHANGE_CAPTURE_COLUMNS = (
    Column("_airbyte_raw_id", "varchar", "Id of the raw record"),
    Column("_airbyte_extracted_at", "timestamptz", "When the record was read from the source"),
    Column("_airbyte_meta", "json", "Sync id and the values that could not be kept as they were"),
    Column("_airbyte_generation_id", "bigint", "Counts the full refreshes of the table"),
    Column("_ab_cdc_lsn", "bigint", "Log position of the change; orders changes, as a number"),
    Column("_ab_cdc_updated_at", "varchar", "When the change was committed in the source, ISO 8601"),
    Column(
        "_ab_cdc_deleted_at", "varchar", "When the row was deleted in the source; null while it lives", True
    ),
)
"""What change data capture adds to every raw table, as Airbyte names it."""
