"""The terms in which a source is declared: domain, table, column. No Dagster and no database here."""

from dataclasses import dataclass
from enum import StrEnum


class Privacy(StrEnum):
    """Where the values of a column may appear."""

    PUBLIC = "public"
    PERSONAL = "personal"  # only where a team needs it, and masked in production
    SECRET = "secret"  # noqa: S105 - not a password; never leaves the raw layer


class FreshnessTier(StrEnum):
    """How soon a change in the source must be visible. Each pipeline declares the window of each tier."""

    TRANSACTIONS = "transactions"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Column:
    """A column of a source table; `type` is PostgreSQL's name of the type, as `format_type` prints it.

    `is_read` is whether a model reads the column: one that no model reads may change freely.
    """

    name: str
    type: str
    description: str
    nullable: bool = False
    privacy: Privacy = Privacy.PUBLIC
    is_read: bool = True


@dataclass(frozen=True)
class Table:
    """A source table, replicated with all its rows and columns.

    `history` names the columns whose past states the warehouse keeps, in addition to the key; empty: no
    history.
    """

    name: str
    grain: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    tier: FreshnessTier = FreshnessTier.REFERENCE
    history: tuple[str, ...] = ()


CHANGE_CAPTURE_COLUMNS = (
    Column("_airbyte_raw_id", "varchar", "Id of the raw record"),
    Column("_airbyte_extracted_at", "timestamptz", "When the record was read from the source"),
    Column("_airbyte_meta", "json", "Sync id, and the values that could not be stored unchanged"),
    Column("_airbyte_generation_id", "bigint", "Number of full refreshes of the table"),
    Column("_ab_cdc_lsn", "bigint", "Log position (LSN) of the change as a number; orders changes"),
    Column("_ab_cdc_updated_at", "varchar", "Commit time of the change in the source, ISO 8601"),
    Column(
        "_ab_cdc_deleted_at",
        "varchar",
        "Commit time of the deletion in the source; null while the row exists",
        True,
    ),
)
"""The columns that change data capture adds to every raw table, with Airbyte's names."""


@dataclass(frozen=True)
class Domain:
    """A source database.

    `name` is the first part of its tables' asset keys, the name of the dbt source and the schema of the raw
    tables; `source_schema` is the schema of the tables in PostgreSQL. `ingestion_columns` are the columns that
    the way of ingestion adds to every raw table.
    """

    name: str
    source_schema: str
    description: str
    owner: str
    tables: tuple[Table, ...]
    ingestion_columns: tuple[Column, ...] = CHANGE_CAPTURE_COLUMNS

    @property
    def leader(self) -> Table:
        """The table that shows whether the domain is up to date, since all tables are synced together.

        The first of the transactions tier, or the first table where there is none.
        """
        transactions = [table for table in self.tables if table.tier is FreshnessTier.TRANSACTIONS]
        return (transactions or list(self.tables))[0]

    def primary_keys(self) -> dict[str, tuple[str, ...]]:
        """Primary key columns by table name."""
        return {table.name: table.primary_key for table in self.tables}

    def history(self) -> dict[str, tuple[str, ...]]:
        """Columns whose past states are kept, by table; tables without any are left out."""
        return {table.name: table.history for table in self.tables if table.history}
