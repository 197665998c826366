"""How fast the replication is: `python benchmarks/replication.py` prints tables of ratios and writes them.

A server and a warehouse of its own, in a temporary folder. Each sync runs in a process of its own, whose peak
memory is told. What is compared with each other runs in turn, within one run, and medians are told: machines
differ, and are shared. Other tools are measured beside it as far as they are here: `replication_neighbours.py`
says how to get them.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import replication_neighbours as neighbours
from adbc_driver_postgresql import dbapi
from measuring import Comparison, Cost, Line, heard, memory, table, tell, ten_times, timed

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "replication.md"
PAYMENT = (
    "(payment_id int primary key, customer_id int not null, staff_id int not null, rental_id int not null,"
    " amount numeric(5, 2) not null, payment_date timestamp not null, note text)"
)
ROWS = (
    "select n, n % 599, n % 2, n * 3, (n % 1000) / 100.0, timestamp '2026-01-01' + n * interval '1 second',"
    " 'payment ' || n from generate_series({first}, {last}) n"
)
TABLES = {"payment": ("payment_id",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=9_000_000, help="rows of the table that is copied")
    parser.add_argument("--changes", type=int, default=600_000, help="changes that are followed")
    parser.add_argument("--large", type=int, default=3_000_000, help="changes of one large transaction")
    parser.add_argument("--repeat", type=int, default=3, help="how often copy and changes are measured")
    parser.add_argument("--neighbours", type=Path, metavar="PYTHON", help="a Python that has dlt and Debezium")
    parser.add_argument(
        "--second-postgres",
        type=Path,
        metavar="FOLDER",
        help="programs of a PostgreSQL that follows the changes, too, such as Debian's, which has wal2json",
    )
    parser.add_argument("--sync", nargs=2, metavar=("URL", "WAREHOUSE"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.sync:
        _sync_here(*wanted.sync)
        return
    programs = PostgresBinaries.find()
    second = PostgresBinaries.find(wanted.second_postgres) if wanted.second_postgres else None
    with tempfile.TemporaryDirectory() as folder:
        parts = list(_parts(programs, Path(folder) / "first", wanted))
        if second:
            with _server(second, Path(folder) / "second") as (url, source):
                parts.append(_changes(second, url, source, Path(folder) / "second", wanted))
    report = "\n".join((*_head(programs, wanted), *parts))
    print(report)
    RESULTS.write_text(report)


def _head(programs: PostgresBinaries, wanted: argparse.Namespace) -> Sequence[str]:
    memory_size = psutil.virtual_memory().total / 2**30
    return (
        "# Replication, measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory_size:.0f} GB of memory,"
        f" {platform.system()}, PostgreSQL {programs.version}. By `python benchmarks/replication.py --rows"
        f" {wanted.rows} --changes {wanted.changes} --large {wanted.large} --repeat {wanted.repeat}"
        f"{' --neighbours PYTHON' if wanted.neighbours else ''}"
        f"{f' --second-postgres {wanted.second_postgres}' if wanted.second_postgres else ''}`."
        f" Load of the machine at the end: {os.getloadavg()[0]:.1f}.",
        "",
    )


def _parts(programs: PostgresBinaries, folder: Path, wanted: argparse.Namespace) -> Iterator[str]:
    with _server(programs, folder) as (url, source):
        yield _snapshot(url, source, folder, wanted)
        yield _changes(programs, url, source, folder, wanted)
        yield f"## One transaction of {wanted.large:,} changes\n"
        large = _large_transaction(url, source, folder, wanted.large)
        yield table(("way", "seconds", "changes a second", "peak memory"), large)
        yield "## From the commit in the source to the commit in the warehouse\n"
        yield table(("one row, in a warm process", "milliseconds"), _latency(url, source, folder))
        yield "## The same 1,000 changes to tables of different size\n"
        growth = _growth(url, source, folder, wanted.rows // 100)
        yield table(("rows of the table", "seconds", "peak memory"), growth)


@contextmanager
def _server(programs: PostgresBinaries, folder: Path) -> Iterator[tuple[str, psycopg.Connection]]:
    """A server of its own, and a connection to it."""
    server = EmbeddedPostgres(folder / "postgres", binaries=programs)
    try:
        with server.lease() as url, psycopg.connect(url, autocommit=True) as source:
            yield url, source
    finally:
        server.stop()


def _snapshot(url: str, source: psycopg.Connection, folder: Path, wanted: argparse.Namespace) -> str:
    rows, python = wanted.rows, wanted.neighbours
    _fill(source, rows)
    compared = Comparison()
    for _ in range(wanted.repeat):
        compared.measure(
            {
                "`COPY payment TO '/dev/null'` in the server: the limit": lambda: timed(
                    lambda: source.execute("copy payment to '/dev/null'")
                ),
                "ADBC alone, into nothing": lambda: timed(lambda: _read_by_adbc(url)),
                "psycopg, rows as tuples, into nothing (a tenth, times ten)": lambda: ten_times(
                    timed(lambda: _read_by_psycopg(url, rows // 10))
                ),
                "dlt, connectorx backend, into DuckDB": lambda: neighbours.copy_by_dlt(
                    python, url, "connectorx", rows
                ),
                "dlt, pyarrow backend, into DuckDB": lambda: neighbours.copy_by_dlt(
                    python, url, "pyarrow", rows
                ),
                "this project, into the committed warehouse": lambda: _copied(url, source, folder),
            }
        )
    return f"## Copying {rows:,} rows\n\n{compared.table(rows, 'rows')}"


def _changes(
    programs: PostgresBinaries,
    url: str,
    source: psycopg.Connection,
    folder: Path,
    wanted: argparse.Namespace,
) -> str:
    """What it takes to follow the same changes, behind the same position of the log."""
    changes, warehouse = wanted.changes, folder / "changes.duckdb"
    compared = Comparison()
    for _ in range(wanted.repeat):
        _fill(source, changes)
        warehouse.unlink(missing_ok=True)
        _sync(url, warehouse)
        source.execute(
            "do $$ begin for i in 0.."
            + str(changes // 100 - 1)
            + " loop update payment set amount = amount / 2"
            " where payment_id between i * 100 + 1 and i * 100 + 100; commit; end loop; end $$"
        )
        compared.measure(
            {
                "decoding in the server alone: the limit": lambda: timed(lambda: _decode_only(source)),
                "wal2json in the server, into nothing": lambda: neighbours.decode_by_wal2json(source),
                "`pg_recvlogical`, into nothing": lambda: neighbours.read_by_pg_recvlogical(
                    programs.folder, url, source
                ),
                "Debezium, embedded, into nothing": lambda: neighbours.read_by_debezium(
                    wanted.neighbours, url, source, changes
                ),
                # The last: it moves the slot on, which the others begin at.
                "this project, into the committed warehouse": lambda: _sync(url, warehouse),
            }
        )
    return (
        f"## Following {changes:,} changes in transactions of 100, PostgreSQL {programs.version}\n\n"
        f"{compared.table(changes, 'changes')}"
    )


def _large_transaction(url: str, source: psycopg.Connection, folder: Path, changes: int) -> Sequence[Line]:
    warehouse = folder / "large.duckdb"
    _fill(source, changes // 3)
    _sync(url, warehouse)
    with source.transaction():
        for _ in range(2):
            source.execute("update payment set amount = amount / 2")
        source.execute("insert into payment " + ROWS.format(first=changes, last=changes + changes // 3 - 1))
    ours = _sync(url, warehouse)
    return [("this project, into the committed warehouse", *_rate(changes, ours), memory([ours]))]


def _latency(url: str, source: psycopg.Connection, folder: Path) -> Sequence[Line]:
    _fill(source, 10_000)
    replicator = Replicator(url, folder / "latency.duckdb", TABLES)
    replicator.sync()
    taken = []
    for number in range(1, 101):
        source.execute("update payment set amount = amount + 0.01 where payment_id = %s", [number])
        taken.append(timed(replicator.sync).seconds * 1000)
    taken.sort()
    return [("p50", f"{taken[49]:.0f}"), ("p99", f"{taken[98]:.0f}")]


def _growth(url: str, source: psycopg.Connection, folder: Path, rows: int) -> Sequence[Line]:
    lines = []
    for factor in (1, 10, 100):
        _fill(source, rows * factor)
        warehouse = folder / f"growth_{factor}.duckdb"
        _sync(url, warehouse)
        costs = []
        for number in range(3):
            source.execute(
                f"update payment set amount = {number} where payment_id % {rows * factor // 1000} = 0"
            )
            costs.append(_sync(url, warehouse))
        seconds = statistics.median(cost.seconds for cost in costs)
        lines.append((f"{rows * factor:,}", f"{seconds:.2f}", memory(costs)))
        warehouse.unlink()
    return lines


def _fill(source: psycopg.Connection, rows: int) -> None:
    """A table of so many rows, and nothing that an earlier part left."""
    source.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
        " where database = current_database()"
    )
    source.execute("drop table if exists payment")
    source.execute(f"create table payment {PAYMENT}")
    source.execute("insert into payment " + ROWS.format(first=1, last=rows))
    source.execute("vacuum analyze payment")
    source.execute("checkpoint")


def _copied(url: str, source: psycopg.Connection, folder: Path) -> Cost:
    warehouse = folder / "copied.duckdb"
    warehouse.unlink(missing_ok=True)
    cost = _sync(url, warehouse)
    source.execute("select pg_drop_replication_slot('dvd_rental')")
    return cost


def _sync(url: str, warehouse: Path) -> Cost:
    """A sync in a process of its own; what it costs without the start of Python."""
    command = [sys.executable, __file__, "--sync", url, str(warehouse)]
    return heard(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _sync_here(url: str, warehouse: str) -> None:
    tell(timed(lambda: Replicator(url, Path(warehouse), TABLES).sync()).seconds)


def _read_by_adbc(url: str) -> None:
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("select * from payment")
        for _ in cursor.fetch_record_batch():
            pass


def _read_by_psycopg(url: str, rows: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 10_000
        for _ in cursor.execute("select * from payment limit %s", [rows]):
            pass


def _decode_only(source: psycopg.Connection) -> None:
    source.execute(
        "select count(*) from pg_logical_slot_peek_binary_changes('dvd_rental', null, null,"
        " 'proto_version', '1', 'publication_names', 'dvd_rental')"
    )


def _rate(changes: int, cost: Cost) -> tuple[str, str]:
    return f"{cost.seconds:.1f}", f"{changes / cost.seconds:,.0f}"


if __name__ == "__main__":
    main()
