"""Raw tables that somebody else filled, compared with their source by numbers of rows and sums of columns.

The source goes on meanwhile, and its changes wait in the replication slot. Each may add or take away one row,
so counts that differ by no more than the changes that wait are equal as far as can be known. Sums are compared
where no change waits.
"""

from collections.abc import Mapping
from contextlib import closing

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, format_sql, translate_errors
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import iso
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import Begin, Delete, Insert, Update, decode
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.column_sums import differing_columns, sums_sql

_PEEK_SQL = (
    "select data from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1',"
    " 'publication_names', %s)"
)


def compare_counts(
    url: str,
    domain: Domain,
    slot: str,
    raw_rows: Mapping[str, int],
    failures: Mapping[str, str],
    *,
    raw_sums: Mapping[str, str] | None = None,
) -> Mapping[str, TableVerification]:
    """Compare `raw_rows`, live rows by table, with the source at `url`; `failures` are tables without a count.

    `raw_sums` are answers to `sums_sql`, of the tables of which sums are to be compared.

    Raises:
        ReplicationError: the source cannot be reached, or refuses.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        oids: dict[int, str] = dict(
            connection.execute(
                "select oid::bigint, relname from pg_class where relnamespace = %s::regnamespace",
                [domain.source_schema],
            ).fetchall()
        )
        found: dict[str, TableVerification] = {}
        counted: dict[str, int] = {}
        sums: dict[str, str] = {}
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            for table in domain.tables:
                row = connection.execute(
                    format_sql("select count(*) from only {table}", table=(domain.source_schema, table.name))
                ).fetchone()
                counted[table.name] = row[0] if row else 0
                if table.name in (raw_sums or {}):
                    asked = sums_sql(table, f'only "{domain.source_schema}"."{table.name}"')
                    name, text = connection.execute(asked.encode()).fetchone() or ("", "")
                    sums[name] = text
        # Read after the count: every change that it may have missed, or have seen too early, is among them.
        waiting = _waiting(connection, slot, oids)
        lsn = connection.execute("select pg_current_wal_lsn()::text").fetchone()
    tables = {table.name: table for table in domain.tables}
    for name, rows in counted.items():
        if name in failures:
            found[name] = TableVerification(name, str(lsn and lsn[0]), error=failures[name])
            continue
        times = waiting.get(name, [])
        raw = raw_rows.get(name, 0)
        slack = len(times)
        compared = name in sums and not slack and rows == raw
        columns = differing_columns(tables[name], sums[name], (raw_sums or {})[name]) if compared else None
        found[name] = TableVerification(
            name,
            str(lsn and lsn[0]),
            source_rows=rows,
            raw_rows=raw,
            missing=max(0, rows - raw - slack),
            surplus=max(0, raw - rows - slack),
            columns=columns,
            pending=slack,
            pending_since=min(times, default=None),
        )
    return found


def _waiting(connection: psycopg.Connection, slot: str, oids: Mapping[int, str]) -> dict[str, list[str]]:
    """The commit times of the changes that wait in the slot, by table."""
    waiting: dict[str, list[str]] = {}
    time = ""
    with connection.transaction(), connection.cursor("dvd_rental_waiting", binary=True) as cursor:
        cursor.execute(_PEEK_SQL, [slot, format_sql("{name}", name=slot).as_string(connection)])
        for (data,) in cursor:
            message = decode(data)
            if isinstance(message, Begin):
                time = iso(message.time)
            elif isinstance(message, Insert | Update | Delete) and message.oid in oids:
                waiting.setdefault(oids[message.oid], []).append(time)
    return waiting
