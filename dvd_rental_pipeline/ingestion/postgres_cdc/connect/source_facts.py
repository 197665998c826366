"""What a source says of itself: its tables' columns, and how much of its log a slot holds back."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors

_COLUMNS_SQL = """
select c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), a.atttypmod)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_type t on t.oid = a.atttypid
where c.relnamespace = %s::regnamespace and c.relname = any(%s) and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""
_SLOT_SQL = """
select (pg_current_wal_lsn() - restart_lsn)::bigint, wal_status
from pg_replication_slots where slot_name = %s
"""
_LIMIT_SQL = "select setting::bigint * 1048576 from pg_settings where name = 'max_slot_wal_keep_size'"


@dataclass(frozen=True)
class SlotFacts:
    """A replication slot: the bytes of log that it holds back, how many it may, and PostgreSQL's word for it.

    `limit_bytes` is None where nothing limits it.
    """

    retained_bytes: int
    limit_bytes: int | None
    status: str


@dataclass(frozen=True)
class SourceFacts:
    """Types by column by table, as `format_type` prints them (of domains the base type), and the slot."""

    columns: Mapping[str, Mapping[str, str]]
    slot: SlotFacts | None


def read_facts(url: str, domain: Domain, slot: str) -> SourceFacts:
    """Ask the source at `url`.

    Raises:
        ReplicationError: it cannot be reached, or refuses.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        names = [table.name for table in domain.tables]
        columns: dict[str, dict[str, str]] = {}
        for table, column, kind in connection.execute(_COLUMNS_SQL, [domain.source_schema, names]):
            # A type of the application's own is printed with its schema.
            columns.setdefault(table, {})[column] = kind.removeprefix(f"{domain.source_schema}.")
        return SourceFacts(columns, _slot(connection, slot))


def read_slot(url: str, slot: str) -> SlotFacts | None:
    """Ask the source at `url` for its replication slot alone; None if it has none of that name.

    Raises:
        ReplicationError: it cannot be reached, or refuses.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        return _slot(connection, slot)


def _slot(connection: psycopg.Connection, slot: str) -> SlotFacts | None:
    found = connection.execute(_SLOT_SQL, [slot]).fetchone()
    if found is None:
        return None
    limit = connection.execute(_LIMIT_SQL).fetchone()
    limit_bytes = limit[0] if limit is not None and limit[0] >= 0 else None
    return SlotFacts(found[0] or 0, limit_bytes, found[1] or "unknown")
