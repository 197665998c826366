"""What a Dagster run adds to dbt: `python benchmarks/transform.py` prints a table and writes it to a file.

dbt builds and tests the models of the rental pipeline, in turns as a program and as the step of a Dagster run:
all of them, and one changed model with all that reads it. The raw tables are those of the warehouse in
DVD_RENTAL_HOME (`dvd-rental run` fills it), which is only read.
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
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
from measuring import table

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.runs.instance import open_instance
from dvd_rental_pipeline.transform.assets import DbtConfig, build_dbt_assets
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "transform.md"
DBT = Path(sys.executable).parent / "dbt"
CHANGED = "dim_film"
HEAD = ("build", "models and tests, of each", "`dbt build`, s", "as a Dagster run, s", "ratio")


@dataclass(frozen=True)
class Build:
    """One build: seconds of wall clock, and how many models and tests it executed."""

    seconds: float
    nodes: int


def fill(warehouse: Path, base: Path) -> None:
    """Write the raw tables of `base` into `warehouse`."""
    with duckdb.connect(warehouse) as connection:
        connection.execute(f"attach '{base}' as base (read_only)")
        connection.execute(f"create schema {DVD_RENTAL.name}")
        for raw in DVD_RENTAL.tables:
            name = f"{DVD_RENTAL.name}.{raw.name}"
            connection.execute(f"create table {name} as from base.{name}")


def rental_models(settings: Settings) -> dict[str, Sequence[str]]:
    """The asset keys of the models that read the rental database alone, by the names of their nodes."""
    manifest = read_manifest(load_dbt_project(settings).manifest_path)
    return {
        unique_id.split(".")[2]: model.key
        for unique_id, model in manifest.models.items()
        if manifest.domains_of(unique_id) <= {DVD_RENTAL.name}
    }


def build_with_dbt(settings: Settings, models: Collection[str]) -> Build:
    """`dbt build` as a separate process."""
    target = settings.dbt_target_dir
    command = [
        *(str(DBT), "build", "--quiet", "--exclude-resource-type", "unit_test"),
        # As in Dagster: with the tests that read other models as well, which exist.
        *("--target", settings.dbt_target, "--indirect-selection", "eager", "--select", *sorted(models)),
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
    return Build(seconds, len(results))


def build_with_dagster(settings: Settings, models: Collection[str], keys: Collection[Sequence[str]]) -> Build:
    """The same build as a Dagster run, recorded in the same storage as by `dvd-rental run`."""
    project = load_dbt_project(settings)
    assets = build_dbt_assets(project, [DVD_RENTAL], LAYER_FRESHNESS, LAYER_CONDITIONS)
    resources = {
        "dbt": build_dbt_resource(project),
        "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
    }
    with open_instance(settings) as instance, redirected_output(settings.home / "run.log"):
        started = time.monotonic()
        result = dg.materialize(
            [assets],
            selection=[dg.AssetKey(key) for key in keys],
            resources=resources,
            run_config=dg.RunConfig(ops={assets.op.name: DbtConfig(reuse=False)}),
            instance=instance,
            raise_on_error=False,
        )
        seconds = time.monotonic() - started
    built = {event.asset_key for event in result.asset_materializations_for_node(assets.op.name)}
    if {dg.AssetKey(key) for key in keys} - built:
        output = (settings.home / "run.log").read_text(encoding="utf-8")
        raise SystemExit(f"The run in Dagster did not build everything:\n{output[-4000:]}")
    return Build(seconds, len(built) + len(result.get_asset_check_evaluations()))


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


def descendants(settings: Settings, model: str) -> set[str]:
    """The names of `model` and of all that reads it."""
    listed = subprocess.run(
        [str(DBT), "ls", "--quiet", "--target", settings.dbt_target, "--select", f"{model}+",
         "--output", "name", "--resource-types", "model", "snapshot"],
        cwd=DBT_PROJECT_DIR, env={**os.environ, "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(listed.stdout.split())


def measure(base: Path, rounds: int) -> str:
    """Run the benchmark; the text of the report."""
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory(prefix="transform-") as folder:
        settings = Settings(home=Path(folder))
        fill(settings.warehouse_path, base)
        raw = settings.home / "raw.duckdb"
        shutil.copyfile(settings.warehouse_path, raw)
        keys = rental_models(settings)
        selections = {
            "all models": set(keys),
            f"`{CHANGED}` and all that reads it": descendants(settings, CHANGED) & keys.keys(),
        }
        for name, models in selections.items():
            whole = models == set(keys)
            with_dbt, with_dagster = [], []
            for _ in range(rounds):
                if whole:
                    shutil.copyfile(raw, settings.warehouse_path)
                with_dbt.append(build_with_dbt(settings, models))
                if whole:
                    shutil.copyfile(raw, settings.warehouse_path)
                with_dagster.append(build_with_dagster(settings, models, [keys[each] for each in models]))
                print(name, with_dbt[-1], with_dagster[-1], file=sys.stderr)
            bare, run = (min(each.seconds for each in builds) for builds in (with_dbt, with_dagster))
            nodes = f"{with_dbt[0].nodes}, {with_dagster[0].nodes}"
            rows.append((name, nodes, f"{bare:.1f}", f"{run:.1f}", f"{run / bare:.2f}"))
    return "\n".join(
        [
            "# Benchmark of the transformation\n",
            f"`python benchmarks/transform.py` on {os.cpu_count()} cores, {platform.system()} "
            f"{platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}, load "
            f"{load:.1f} at the start. Seconds of wall clock, the fastest of {rounds} rounds. dbt alone writes "
            "its artifacts and selects the models by name, which takes it seconds; the run does neither.\n",
            table(HEAD, rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rounds", type=int, default=3, help="builds of each kind, of which the fastest counts"
    )
    arguments = parser.parse_args()
    base = Settings.load().warehouse_path
    if not base.exists():
        raise SystemExit(f"There is no warehouse at {base}: create it with `dvd-rental run`.")
    report = measure(base, arguments.rounds)
    print(report)
    RESULTS.write_text(f"{report}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
