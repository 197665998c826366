"""How fast the replication is: `python benchmarks/replication.py` prints tables of ratios and writes them.

A server and a warehouse of its own, in a temporary folder. Each sync runs in a process of its own, whose peak
memory is told. What is compared with each other runs in turn, within one run, and medians are told: machines
differ, and are shared.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
from adbc_driver_postgresql import dbapi

from dvd_rental_pipeline.replication.replicator import Replicator
from dvd_rental_pipeline.settings import PROJECT_ROOT
from dvd_rental_pipeline.source.server import EmbeddedPostgres

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
Line = tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Wall clock, and the most memory that the process had."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=9_000_000, help="rows of the table that is copied")
    parser.add_argument("--changes", type=int, default=600_000, help="changes that are followed")
    parser.add_argument("--large", type=int, default=3_000_000, help="changes of one large transaction")
    parser.add_argument("--repeat", type=int, default=3, help="how often the copy is measured")
    parser.add_argument("--sync", nargs=2, metavar=("URL", "WAREHOUSE"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.sync:
        _sync_here(*wanted.sync)
        return
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            with server.lease() as url:
                report = _report(url, Path(folder), wanted)
        finally:
            server.stop()
    print(report)
    RESULTS.write_text(report)


def _report(url: str, folder: Path, wanted: argparse.Namespace) -> str:
    with psycopg.connect(url, autocommit=True) as source:
        (version,) = source.execute("show server_version").fetchall()[0]
        snapshot = _snapshot(url, source, folder, wanted.rows, wanted.repeat)
        changes = _changes(url, source, folder, wanted.changes)
        large = _large_transaction(url, source, folder, wanted.large)
        latency = _latency(url, source, folder)
        growth = _growth(url, source, folder, wanted.rows // 100)
    memory = psutil.virtual_memory().total / 2**30
    return "\n".join(
        (
            "# Replication, measured",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GB of memory,"
            f" {platform.system()}, PostgreSQL {version}. By `python benchmarks/replication.py --rows"
            f" {wanted.rows} --changes {wanted.changes} --large {wanted.large} --repeat {wanted.repeat}`."
            f" Load of the machine at the end: {os.getloadavg()[0]:.1f}.",
            "",
            f"## Copying {wanted.rows:,} rows",
            "",
            _table(("way", "seconds", "times the limit", "peak memory"), snapshot),
            f"## Following {wanted.changes:,} changes in transactions of 100",
            "",
            _table(("way", "seconds", "changes a second", "peak memory"), changes),
            f"## One transaction of {wanted.large:,} changes",
            "",
            _table(("way", "seconds", "changes a second", "peak memory"), large),
            "## From the commit in the source to the commit in the warehouse",
            "",
            _table(("one row, in a warm process", "milliseconds"), latency),
            "## The same 1,000 changes to tables of different size",
            "",
            _table(("rows of the table", "seconds", "peak memory"), growth),
        )
    )


def _snapshot(url: str, source: psycopg.Connection, folder: Path, rows: int, repeat: int) -> Sequence[Line]:
    _fill(source, rows)
    ways: dict[str, Callable[[], Cost]] = {
        "`COPY payment TO '/dev/null'` in the server: the limit": lambda: _timed(
            lambda: source.execute("copy payment to '/dev/null'")
        ),
        "ADBC alone, into nothing": lambda: _timed(lambda: _read_by_adbc(url)),
        "psycopg, rows as tuples, into nothing (a tenth, times ten)": lambda: _ten_times(
            _timed(lambda: _read_by_psycopg(url, rows // 10))
        ),
        "this project, into the committed warehouse": lambda: _copied(url, source, folder),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, run in ways.items():
            costs[name].append(run())
    medians = {name: statistics.median(cost.seconds for cost in found) for name, found in costs.items()}
    limit = next(iter(medians.values()))
    return [
        (name, f"{seconds:.1f}", f"{seconds / limit:.2f}", _memory(costs[name]))
        for name, seconds in medians.items()
    ]


def _changes(url: str, source: psycopg.Connection, folder: Path, changes: int) -> Sequence[Line]:
    warehouse = folder / "changes.duckdb"
    _fill(source, changes)
    _sync(url, warehouse)
    source.execute(
        "do $$ begin for i in 0.." + str(changes // 100 - 1) + " loop update payment set amount = amount / 2"
        " where payment_id between i * 100 + 1 and i * 100 + 100; commit; end loop; end $$"
    )
    decoding = _timed(lambda: _decode_only(source))
    ours = _sync(url, warehouse)
    return [
        ("decoding in the server alone: the limit", *_rate(changes, decoding), "-"),
        ("this project, into the committed warehouse", *_rate(changes, ours), _memory([ours])),
    ]


def _large_transaction(url: str, source: psycopg.Connection, folder: Path, changes: int) -> Sequence[Line]:
    warehouse = folder / "large.duckdb"
    _fill(source, changes // 3)
    _sync(url, warehouse)
    with source.transaction():
        for _ in range(2):
            source.execute("update payment set amount = amount / 2")
        source.execute("insert into payment " + ROWS.format(first=changes, last=changes + changes // 3 - 1))
    ours = _sync(url, warehouse)
    return [("this project, into the committed warehouse", *_rate(changes, ours), _memory([ours]))]


def _latency(url: str, source: psycopg.Connection, folder: Path) -> Sequence[Line]:
    _fill(source, 10_000)
    replicator = Replicator(url, folder / "latency.duckdb", TABLES)
    replicator.sync()
    taken = []
    for number in range(1, 101):
        source.execute("update payment set amount = amount + 0.01 where payment_id = %s", [number])
        taken.append(_timed(replicator.sync).seconds * 1000)
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
        lines.append((f"{rows * factor:,}", f"{seconds:.2f}", _memory(costs)))
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
    answer = subprocess.run(
        [sys.executable, __file__, "--sync", url, str(warehouse)], check=True, capture_output=True, text=True
    )
    return Cost(**json.loads(answer.stdout.splitlines()[-1]))


def _sync_here(url: str, warehouse: str) -> None:
    cost = _timed(lambda: Replicator(url, Path(warehouse), TABLES).sync())
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": cost.seconds, "megabytes": kibibytes * 1024 / 1e6}))


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


def _timed(work: Callable[[], object]) -> Cost:
    started = time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, 0.0)


def _ten_times(cost: Cost) -> Cost:
    return Cost(cost.seconds * 10, cost.megabytes)


def _rate(changes: int, cost: Cost) -> tuple[str, str]:
    return f"{cost.seconds:.1f}", f"{changes / cost.seconds:,.0f}"


def _memory(costs: Sequence[Cost]) -> str:
    most = max(cost.megabytes for cost in costs)
    return f"{most:,.0f} MB" if most else "-"


def _table(head: Line, lines: Sequence[Line]) -> str:
    rows = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


if __name__ == "__main__":
    main()
