"""Comparing raw tables that another service fills with their source, by row counts and column sums.

The source keeps changing meanwhile, and its changes are pending in the replication slot. Each of them may add
or remove one row, so counts that differ by at most the number of pending changes are accepted as equal. Sums
are compared for tables without pending changes.

The slot also holds changes that were delivered: Airbyte confirms them when the next sync starts. Which ones,
`_ab_cdc_lsn` of the raw tables shows.
"""

from collections.abc import Collection, Mapping
from contextlib import closing

import psycopg
from psycopg import sql

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import iso_timestamp, parse_lsn, quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    Update,
    decode,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.column_sums import differing_columns, sums_sql

_PEEK_SQL = (
    "select lsn::text, data from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1',"
    " 'publication_names', %s)"
)
_OIDS_SQL = """
select c.oid::bigint, c.relname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = any(%s) and c.relkind in ('r', 'p')
"""


def compare_counts(
    url: str,
    domain: Domain,
    slot: str,
    raw_rows: Mapping[str, int],
    failures: Mapping[str, str],
    *,
    raw_sums: Mapping[str, str] | None = None,
    delivered_lsns: Collection[int] = frozenset(),
) -> Mapping[str, TableVerification]:
    """Compare `raw_rows`, live rows by table, with the source at `url`.

    `failures` are tables that could not be counted, with the reason. `raw_sums` are results of `sums_sql`, for
    the tables whose sums are to be compared. `delivered_lsns` are the values of `_ab_cdc_lsn` in the raw
    tables, at least the greatest and those after the slot's confirmed position; read before the other ones.

    Raises:
        ReplicationError: the source cannot be reached, or a query failed.
    """
    raw_sums = raw_sums or {}
    source_rows: dict[str, int] = {}
    source_sums: dict[str, str] = {}
    with closing(connect(url)) as connection, translate_errors(url):
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            for table in domain.tables:
                row = connection.execute(
                    sql.SQL("select count(*) from only {}").format(
                        sql.Identifier(domain.source_schema, table.name)
                    )
                ).fetchone()
                source_rows[table.name] = row[0] if row else 0
                if table.name in raw_sums:
                    query = sums_sql(table, f"only {quoted(domain.source_schema, table.name)}")
                    _, source_sums[table.name] = connection.execute(query.encode()).fetchone() or ("", "")
        # Read after the counts: every change that may be counted on one side only is among them.
        pending = _pending_changes(connection, domain, slot, delivered_lsns)
        row = connection.execute("select pg_current_wal_lsn()::text").fetchone()
    lsn = str(row and row[0])
    results: dict[str, TableVerification] = {}
    for table in domain.tables:
        name = table.name
        if name in failures:
            results[name] = TableVerification(name, lsn, error=failures[name])
            continue
        times = pending.get(name, [])
        source, raw = source_rows[name], raw_rows.get(name, 0)
        sums_compared = name in source_sums and not times and source == raw
        results[name] = TableVerification(
            name,
            lsn,
            source_rows=source,
            raw_rows=raw,
            missing=max(0, source - raw - len(times)),
            surplus=max(0, raw - source - len(times)),
            columns=differing_columns(table, source_sums[name], raw_sums[name]) if sums_compared else None,
            pending=len(times),
            pending_since=min(times, default=None),
        )
    return results


def _pending_changes(
    connection: psycopg.Connection, domain: Domain, slot: str, delivered_lsns: Collection[int]
) -> dict[str, list[str]]:
    """The commit times of the changes in the slot that are not delivered yet, by table of the domain.

    Transactions are delivered in the order of their commits. One was delivered if its commit record is not
    after the last LSN that was delivered, or if the LSN of one of its changes was. The order alone does not
    suffice: in Airbyte `_ab_cdc_lsn` is the LSN of the change itself, and a transaction that commits later may
    have changes with smaller ones.
    """
    tables = [table.name for table in domain.tables]
    names: dict[int, str] = dict(connection.execute(_OIDS_SQL, [domain.source_schema, tables]).fetchall())
    last_delivered = max(delivered_lsns, default=0)
    pending: list[tuple[str, str]] = []
    time, is_delivered = "", False
    with connection.transaction(), connection.cursor("dvd_rental_pending", binary=True) as cursor:
        cursor.execute(_PEEK_SQL, [slot, sql.Identifier(slot).as_string(connection)])
        for lsn, data in cursor:
            message = decode(data)
            if isinstance(message, Begin):
                time, is_delivered = iso_timestamp(message.time), message.commit_lsn <= last_delivered
            elif isinstance(message, Insert | Update | Delete) and message.oid in names:
                pending.append((names[message.oid], time))
                is_delivered |= parse_lsn(lsn) in delivered_lsns
            elif isinstance(message, Commit) and is_delivered:
                pending.clear()
    by_table: dict[str, list[str]] = {}
    for name, time in pending:
        by_table.setdefault(name, []).append(time)
    return by_table
