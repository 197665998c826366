"""How the cost of the rental pipeline grows with its source: `python benchmarks/scale.py` writes a table.

For each scale, in a home of its own: the source is generated, then `dvd-rental run` is measured when
everything is new, when nothing has changed, and when 1 % of the rentals and payments have. The seconds of sync,
models (with their tests), checks and pages are those of their steps, summed. Processor time is without
PostgreSQL's. Memory is the highest sum of proportional set sizes of all processes of that home, PostgreSQL's
included.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil
import psycopg
from dagster import AssetKey
from measuring import table

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.runs.instance import open_instance

PROGRAM = Path(sys.executable).with_name("dvd-rental")
RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "scale.md"
CHANGE = (
    "update rental set return_date = coalesce(return_date, rental_date) + interval '1 hour',"
    " last_update = now() where rental_id % 100 = 0",
    "update payment set amount = amount + 0.01 where payment_id % 100 = 0",
)
PARTS = ("sync", "models", "checks", "pages")
HEAD = ("", "wall, s", "processor, s", *PARTS, "peak memory, MB", "load at the end")


@dataclass(frozen=True)
class Measured:
    """Seconds of wall and processor time, peak memory in MB, load at the end, seconds of the parts of a run."""

    wall: float
    processor: float
    megabytes: float
    load: float
    parts: Mapping[str, float]


class MemorySampler:
    """Samples the memory of all processes whose command line or environment names `home`, twice a second."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak = 0.0

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, sum(self._size(process) for process in psutil.process_iter()) / 1e6)

    def _size(self, process: psutil.Process) -> int:
        try:
            named = process.environ().get("DVD_RENTAL_HOME") == self._home
            belongs = (
                named or any(self._home in word for word in process.cmdline()) or self._is_backend(process)
            )
            return int(process.memory_full_info().pss) if belongs else 0
        except psutil.Error:
            return 0

    def _is_backend(self, process: psutil.Process) -> bool:
        """Whether it is a process that the PostgreSQL server of this home has started."""
        parent = process.parent()
        return parent is not None and _names(parent, self._home)


def _names(process: psutil.Process, folder: str) -> bool:
    return any(folder in word for word in process.cmdline())


def measure(home: Path, work: Callable[[], object]) -> Measured:
    """The cost of `work`, which starts programs in `home`, and of the parts of the runs that they start."""
    started, before = time.time(), _processor_seconds()
    with MemorySampler(home) as memory:
        work()
    wall, processor = time.time() - started, _processor_seconds() - before
    parts = _parts(Settings(home=home), started)
    return Measured(wall, processor, memory.peak, os.getloadavg()[0], parts)


def _processor_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _parts(settings: Settings, since: float) -> Mapping[str, float]:
    """Seconds of the steps of each part, of the runs that were started after `since` (seconds since 1970)."""
    seconds: dict[str, float] = defaultdict(float)
    with open_instance(settings) as instance:
        for record in instance.get_run_records(limit=20):
            if record.create_timestamp.timestamp() >= since:
                for step in instance.get_run_step_stats(record.dagster_run.run_id):
                    if step.start_time is not None and step.end_time is not None:
                        seconds[_part(step.step_key)] += step.end_time - step.start_time
    return seconds


def _part(step: str) -> str:
    if step == "dvd_rental_ingestion":
        return "sync"
    if step.startswith("site__"):
        return "pages"
    return "models" if step == "dbt_models" else "checks"


def command(home: Path, *arguments: str) -> str:
    """The output of `dvd-rental` with these arguments."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**os.environ, "DVD_RENTAL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(
            f"dvd-rental {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout


def change(home: Path) -> None:
    """Change 1 % of the rentals and payments, in one transaction."""
    with psycopg.connect(json.loads(command(home, "source", "status", "--json"))["url"]) as connection:
        for statement in CHANGE:
            connection.execute(statement)


def require_synced_by_changes(settings: Settings) -> None:
    """Exit if the last sync has copied a table in full, which costs what the first one does."""
    with open_instance(settings) as instance:
        for table in ("rental", "payment"):
            event = instance.get_latest_materialization_event(AssetKey(["dvd_rental", table]))
            materialization = event.asset_materialization if event else None
            reason = materialization.metadata.get("full_refresh_reason") if materialization else None
            if reason is not None:
                sys.exit(f"{table} was copied in full: {reason.value}")


def measure_scale(scale: int) -> tuple[int, Mapping[str, Measured]]:
    """The rentals of the source of `scale`, and the cost of each piece of work."""
    with tempfile.TemporaryDirectory(prefix=f"scale-{scale}-") as folder:
        home = Path(folder)
        try:
            command(home, "source", "start")
            costs = {
                "`source generate`": measure(
                    home, lambda: command(home, "source", "generate", "--scale", str(scale))
                ),
                "first run": measure(home, lambda: command(home, "run")),
                "nothing has changed": measure(home, lambda: command(home, "run")),
            }
            change(home)
            costs["1 % has changed"] = measure(home, lambda: command(home, "run"))
            require_synced_by_changes(Settings(home=home))
            costs["1 % has changed, `--no-reuse`"] = measure(home, lambda: command(home, "run", "--no-reuse"))
            with duckdb.connect(Settings(home=home).warehouse_path, read_only=True) as warehouse:
                (rentals,) = warehouse.execute("select count(*) from dvd_rental.rental").fetchone() or (0,)
        finally:
            command(home, "source", "stop")
    return int(rentals), costs


def lines(costs: Mapping[str, Measured]) -> Sequence[tuple[str, ...]]:
    return [
        (
            name,
            f"{cost.wall:.1f}",
            f"{cost.processor:.1f}",
            *(f"{cost.parts[part]:.1f}" if part in cost.parts else "" for part in PARTS),
            f"{cost.megabytes:,.0f}",
            f"{cost.load:.1f}",
        )
        for name, cost in costs.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    memory = psutil.virtual_memory().total / 2**30
    scales = " ".join(map(str, arguments.scales))
    parts = [
        "# Cost by the size of the source\n",
        f"`python benchmarks/scale.py --scales {scales}` on {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, DuckDB "
        f"{duckdb.__version__}, load {os.getloadavg()[0]:.1f} at the start.\n",
    ]
    print(*parts, sep="\n", flush=True)
    for scale in arguments.scales:
        rentals, costs = measure_scale(scale)
        parts += [f"## Scale {scale}: {rentals:,} rentals\n", table(HEAD, lines(costs))]
        print(*parts[-2:], sep="\n", flush=True)
        RESULTS.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
