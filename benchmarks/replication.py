"""The speed of the replication: `python benchmarks/replication.py` prints tables of ratios, and writes them.

It uses a separate server and warehouse in a temporary folder. Each sync runs in its own process, whose peak
memory is reported. Compared methods run in turn, within one run, and medians are reported, because machines
differ and are shared. Other tools are measured as well, if they are available: `replication_tools.py` describes
how to install them.
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
import replication_tools
from adbc_driver_postgresql import dbapi
from measuring import Comparison, Cost, Line, memory, parse_cost, print_cost, table, ten_times, timed

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
    parser.add_argument("--changes", type=int, default=600_000, help="changes that are streamed")
    parser.add_argument("--large", type=int, default=3_000_000, help="changes of one large transaction")
    parser.add_argument("--repeat", type=int, default=3, help="how many times copy and changes are measured")
    parser.add_argument("--tools-python", type=Path, metavar="PYTHON", help="a Python with dlt and Debezium")
    parser.add_argument(
        "--second-postgres",
        type=Path,
        metavar="FOLDER",
        help="programs of a second PostgreSQL to measure the changes with, such as Debian's with wal2json",
    )
    parser.add_argument("--sync", nargs=2, metavar=("URL", "WAREHOUSE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sync:
        _sync_here(*arguments.sync)
        return
    programs = PostgresBinaries.find()
    second = PostgresBinaries.find(arguments.second_postgres) if arguments.second_postgres else None
    with tempfile.TemporaryDirectory() as folder:
        parts = list(_parts(programs, Path(folder) / "first", arguments))
        if second:
            with _server(second, Path(folder) / "second") as (url, source):
                parts.append(_changes(second, url, source, Path(folder) / "second", arguments))
    report = "\n".join((*_head(programs, arguments), *parts))
    print(report)
    RESULTS.write_text(report)


def _head(programs: PostgresBinaries, arguments: argparse.Namespace) -> Sequence[str]:
    memory_size = psutil.virtual_memory().total / 2**30
    return (
        "# Replication, measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory_size:.0f} GB of memory,"
        f" {platform.system()}, PostgreSQL {programs.version}. By `python benchmarks/replication.py --rows"
        f" {arguments.rows} --changes {arguments.changes} --large {arguments.large} --repeat {arguments.repeat}"
        f"{' --tools-python PYTHON' if arguments.tools_python else ''}"
        f"{f' --second-postgres {arguments.second_postgres}' if arguments.second_postgres else ''}`."
        f" Load of the machine at the end: {os.getloadavg()[0]:.1f}.",
        "",
    )


def _parts(programs: PostgresBinaries, folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    with _server(programs, folder) as (url, source):
        yield _snapshot(url, source, folder, arguments)
        yield _changes(programs, url, source, folder, arguments)
        yield f"## One transaction of {arguments.large:,} changes\n"
        large = _large_transaction(url, source, folder, arguments.large)
        yield table(("method", "seconds", "changes per second", "peak memory"), large)
        yield "## From the commit in the source to the commit in the warehouse\n"
        yield table(("one row, in a warm process", "milliseconds"), _latency(url, source, folder))
        yield "## The same 1,000 changes to tables of different size\n"
        growth = _growth(url, source, folder, arguments.rows // 100)
        yield table(("rows of the table", "seconds", "peak memory"), growth)


@contextmanager
def _server(programs: PostgresBinaries, folder: Path) -> Iterator[tuple[str, psycopg.Connection]]:
    """A new server, and a connection to it."""
    server = EmbeddedPostgres(folder / "postgres", binaries=programs)
    try:
        with server.lease() as url, psycopg.connect(url, autocommit=True) as source:
            yield url, source
    finally:
        server.stop()


def _snapshot(url: str, source: psycopg.Connection, folder: Path, arguments: argparse.Namespace) -> str:
    rows, python = arguments.rows, arguments.tools_python
    _fill(source, rows)
    compared = Comparison()
    for _ in range(arguments.repeat):
        compared.measure(
            {
                "`COPY payment TO '/dev/null'` in the server: the limit": lambda: timed(
                    lambda: source.execute("copy payment to '/dev/null'")
                ),
                "ADBC alone, into nothing": lambda: timed(lambda: _read_by_adbc(url)),
                "psycopg, rows as tuples, into nothing (a tenth, times ten)": lambda: ten_times(
                    timed(lambda: _read_by_psycopg(url, rows // 10))
                ),
                "dlt, connectorx backend, into DuckDB": lambda: replication_tools.copy_with_dlt(
                    python, url, "connectorx", rows
                ),
                "dlt, pyarrow backend, into DuckDB": lambda: replication_tools.copy_with_dlt(
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
    arguments: argparse.Namespace,
) -> str:
    """Read the same changes, from the same stream position, with each method."""
    changes, warehouse = arguments.changes, folder / "changes.duckdb"
    compared = Comparison()
    for _ in range(arguments.repeat):
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
                "wal2json in the server, into nothing": lambda: replication_tools.decode_by_wal2json(source),
                "`pg_recvlogical`, into nothing": lambda: replication_tools.read_by_pg_recvlogical(
                    programs.folder, url, source
                ),
                "Debezium, embedded, into nothing": lambda: replication_tools.read_by_debezium(
                    arguments.tools_python, url, source, changes
                ),
                # The last method, because it advances the slot at which the others start.
                "this project, into the committed warehouse": lambda: _sync(url, warehouse),
            }
        )
    return (
        f"## Streaming {changes:,} changes in transactions of 100, PostgreSQL {programs.version}\n\n"
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
    cost = _sync(url, warehouse)
    return [("this project, into the committed warehouse", *_rate(changes, cost), memory([cost]))]


def _latency(url: str, source: psycopg.Connection, folder: Path) -> Sequence[Line]:
    _fill(source, 10_000)
    replicator = Replicator(url, folder / "latency.duckdb", TABLES)
    replicator.sync()
    milliseconds = []
    for number in range(1, 101):
        source.execute("update payment set amount = amount + 0.01 where payment_id = %s", [number])
        milliseconds.append(timed(replicator.sync).seconds * 1000)
    milliseconds.sort()
    return [("p50", f"{milliseconds[49]:.0f}"), ("p99", f"{milliseconds[98]:.0f}")]


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
    """Create the table with so many rows, and remove the slots of earlier parts."""
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
    """Sync in a separate process; the cost does not include the start of Python."""
    command = [sys.executable, __file__, "--sync", url, str(warehouse)]
    return parse_cost(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _sync_here(url: str, warehouse: str) -> None:
    print_cost(timed(lambda: Replicator(url, Path(warehouse), TABLES).sync()).seconds)


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
