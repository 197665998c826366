"""Benchmark of the transformation: `python benchmarks/transform.py` prints a table and writes it to a file.

The raw tables of the warehouse in DVD_RENTAL_HOME (`dvd-rental run` fills it) are copied into a temporary
folder and multiplied in SQL, without PostgreSQL: customers, copies, rentals and payments are repeated with new
keys. The warehouse itself is only read.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import psutil

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.runs.instance import open_instance
from dvd_rental_pipeline.transform.assets import build_dbt_assets
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "transform.md"
DBT = Path(sys.executable).parent / "dbt"
# The columns that get new keys in each repetition of a table, with the table whose key they are.
REPEATED = {
    "customer": {"customer_id": "customer"},
    "inventory": {"inventory_id": "inventory"},
    "rental": {"rental_id": "rental", "inventory_id": "inventory", "customer_id": "customer"},
    "payment": {"payment_id": "payment", "rental_id": "rental", "customer_id": "customer"},
}
CHANGE = """
update dvd_rental.rental set
    _ab_cdc_lsn = _ab_cdc_lsn + 1000000000,
    return_date = coalesce(return_date, rental_date) + interval 1 hour
where rental_id % 100 = 0;
update dvd_rental.payment set
    _ab_cdc_lsn = _ab_cdc_lsn + 1000000000,
    amount = amount + 0.01
where payment_id % 100 = 0;
"""


@dataclass(frozen=True)
class Build:
    """One `dbt build`: wall-clock seconds, and the seconds of its nodes by kind, summed over threads."""

    seconds: float
    parse_seconds: float
    node_seconds: Mapping[str, float]


def fill(warehouse: Path, base: Path, scale: int) -> int:
    """Write the raw tables of `base` into `warehouse`, `scale` times as large; returns its rentals."""
    with duckdb.connect(warehouse) as connection:
        connection.execute(f"attach '{base}' as base (read_only)")
        connection.execute("create schema dvd_rental")
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'base' and schema_name = 'dvd_rental'"
        ).fetchall()
        for (table,) in sorted(tables):
            source = f"base.dvd_rental.{table}"
            if table not in REPEATED or scale == 1:
                connection.execute(f"create table dvd_rental.{table} as from {source}")
                continue
            shifted = ", ".join(
                f"cast({key} + repetition * (select max({key}) from base.dvd_rental.{owner}) as integer) "
                f"as {key}"
                for key, owner in REPEATED[table].items()
            )
            connection.execute(
                f"create table dvd_rental.{table} as select * exclude (repetition) replace ({shifted}) "
                f"from {source}, range({scale}) as repetitions (repetition)"
            )
        (rentals,) = connection.execute("select count(*) from dvd_rental.rental").fetchone() or (0,)
    return int(rentals)


def build_with_dbt(settings: Settings) -> Build:
    """`dbt build` as a separate process."""
    target = settings.dbt_target_dir
    command = [
        *(str(DBT), "build", "--quiet", "--exclude-resource-type", "unit_test"),
        *("--target", settings.deployment.value),
    ]
    environment = {**os.environ, "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR), "DBT_LOG_PATH": str(target)}
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=DBT_PROJECT_DIR, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - started
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    broken = [result["unique_id"] for result in results if result["status"] in {"error", "skipped"}]
    if broken or not results:
        raise SystemExit(f"dbt build did not build {', '.join(broken)}:\n{done.stdout[-2000:]}")
    parse = json.loads((target / "perf_info.json").read_text(encoding="utf-8"))
    nodes: dict[str, float] = defaultdict(float)
    for result in results:
        nodes[result["unique_id"].partition(".")[0]] += result["execution_time"]
    return Build(seconds, parse["load_all_elapsed"], nodes)


def build_with_dagster(settings: Settings) -> float:
    """Seconds of the same build as a Dagster run, recorded in the same storage as by `dvd-rental run`."""
    project = load_dbt_project(settings)
    assets = build_dbt_assets(project, [DVD_RENTAL], LAYER_FRESHNESS, LAYER_CONDITIONS)
    resources = {
        "dbt": build_dbt_resource(project),
        "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
    }
    with open_instance(settings) as instance, redirected_output(settings.home / "run.log"):
        started = time.monotonic()
        result = dg.materialize([assets], resources=resources, instance=instance, raise_on_error=False)
        seconds = time.monotonic() - started
    built = {event.asset_key for event in result.asset_materializations_for_node(assets.op.name)}
    if assets.keys - built:
        output = (settings.home / "run.log").read_text(encoding="utf-8")
        raise SystemExit(f"The run in Dagster did not build everything:\n{output[-4000:]}")
    return seconds


@contextmanager
def redirected_output(log_file: Path) -> Iterator[None]:
    """Append the output of steps to `log_file`, until the context ends."""
    saved = os.dup(1), os.dup(2)
    with log_file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)


@contextmanager
def temporary_home(folder: Path, base: Path, scale: int) -> Iterator[tuple[Settings, int]]:
    """A home with raw tables of `scale` and a parsed project, removed when the context ends."""
    settings = Settings(home=folder / f"scale-{scale}")
    settings.home.mkdir()
    rentals = fill(settings.warehouse_path, base, scale)
    load_dbt_project(settings)
    try:
        yield settings, rentals
    finally:
        shutil.rmtree(settings.home)


def start_up_seconds() -> float:
    """Seconds until dbt has printed its version: its start-up, without any work."""
    started = time.monotonic()
    subprocess.run([str(DBT), "--version"], capture_output=True, check=True)
    return time.monotonic() - started


def measure(base: Path, scales: Sequence[int], rounds: int) -> Iterator[str]:
    """Run the benchmark; yields the lines of the report as soon as they are known."""
    memory = psutil.virtual_memory().total / 2**30
    yield "# Benchmark of the transformation\n"
    yield (
        f"`python benchmarks/transform.py` on {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}, load "
        f"{os.getloadavg()[0]:.1f} at the start. Seconds of wall clock.\n"
    )
    yield "| build | rentals | seconds | relative |\n|---|---:|---:|---:|"
    with tempfile.TemporaryDirectory(prefix="transform-") as folder:
        with temporary_home(Path(folder), base, 1) as (settings, rentals):
            raw = settings.home / "raw.duckdb"
            shutil.copyfile(settings.warehouse_path, raw)
            with_dbt, with_dagster = [], []
            for _ in range(rounds):
                shutil.copyfile(raw, settings.warehouse_path)
                with_dbt.append(build_with_dbt(settings))
                shutil.copyfile(raw, settings.warehouse_path)
                with_dagster.append(build_with_dagster(settings))
        best = min(with_dbt, key=lambda build: build.seconds)
        yield f"| `dbt build` | {rentals:,} | {best.seconds:.1f} | 1 |"
        ratio = min(with_dagster) / best.seconds
        yield f"| the same as a Dagster run | {rentals:,} | {min(with_dagster):.1f} | {ratio:.2f} |"
        largest: list[Build] = []
        for scale in sorted(set(scales) - {1}):
            with temporary_home(Path(folder), base, scale) as (settings, rentals):
                full = build_with_dbt(settings)
                relative = full.seconds / best.seconds
                yield f"| full, scale {scale} | {rentals:,} | {full.seconds:.1f} | {relative:.2f} |"
                if scale != max(scales):
                    continue
                with duckdb.connect(settings.warehouse_path) as connection:
                    connection.execute(CHANGE)
                incremental = build_with_dbt(settings)
                yield (
                    f"| incremental after a change of 1%, scale {scale} | {rentals:,} | "
                    f"{incremental.seconds:.1f} | {incremental.seconds / full.seconds:.0%} of the full build |"
                )
                largest = [full, incremental]
    yield "\n## Where the time goes\n"
    yield "Seconds; those of models, snapshots and tests are summed over two threads.\n"
    yield "| | scale 1 | largest, full | largest, incremental |\n|---|---:|---:|---:|"
    builds = [best, *largest]
    start_up = start_up_seconds()
    yield row("dbt start-up", [start_up for _ in builds])
    yield row("parse (nothing changed)", [build.parse_seconds for build in builds])
    for kind in ("model", "snapshot", "test", "unit_test"):
        yield row(f"{kind.replace('_', ' ')}s", [build.node_seconds.get(kind, 0.0) for build in builds])
    yield row("Dagster: start-up, events, row counts", [min(with_dagster) - best.seconds])


def row(name: str, seconds: Sequence[float]) -> str:
    """A row of the second table; missing values are blank."""
    cells = [f"{value:.1f}" for value in seconds]
    return f"| {' | '.join([name, *cells, *[''] * (3 - len(cells))])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=2, help="builds of scale 1, of which the fastest counts")
    arguments = parser.parse_args()
    base = Settings.load().warehouse_path
    if not base.exists():
        raise SystemExit(f"There is no warehouse at {base}: create it with `dvd-rental run`.")
    lines = []
    for line in measure(base, arguments.scales, arguments.rounds):
        print(line, flush=True)
        lines.append(line)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
