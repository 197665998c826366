"""Facts of a source for checks and alerts: the columns of its tables, and its replication slot."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import ReplicationSlot, read_slot

_COLUMNS_SQL = """
select c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), a.atttypmod)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
where n.nspname = %s and c.relname = any(%s) and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""


@dataclass(frozen=True)
class SourceFacts:
    """Facts of a source.

    `columns` maps each table of the domain to its columns' types, as `format_type` prints them; for a domain
    type, the base type. `slot` is None if the slot does not exist.
    """

    columns: Mapping[str, Mapping[str, str]]
    slot: ReplicationSlot | None


def read_facts(url: str, domain: Domain, slot: str) -> SourceFacts:
    """Read the facts of the source at `url`.

    Raises:
        ReplicationError: it cannot be reached, or a query failed.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        return SourceFacts(_columns(connection, domain), read_slot(connection, slot))


def read_columns(url: str, domain: Domain) -> Mapping[str, Mapping[str, str]]:
    """The types of the columns of each table of the source at `url`; empty for a table that does not exist.

    Raises:
        ReplicationError: the source cannot be reached, or the query failed.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        return {table.name: {} for table in domain.tables} | _columns(connection, domain)


def fetch_slot(url: str, name: str) -> ReplicationSlot | None:
    """The replication slot called `name` of the source at `url`; None if it does not exist.

    Raises:
        ReplicationError: the source cannot be reached, or the query failed.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        return read_slot(connection, name)


def _columns(connection: psycopg.Connection, domain: Domain) -> dict[str, dict[str, str]]:
    names = [table.name for table in domain.tables]
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(_COLUMNS_SQL, [domain.source_schema, names]):
        # `format_type` prefixes a type of the application's own with its schema.
        columns.setdefault(table, {})[column] = kind.removeprefix(f"{domain.source_schema}.")
    return columns
