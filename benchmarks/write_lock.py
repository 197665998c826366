"""How long another writer waits beside dbt: `python benchmarks/write_lock.py` prints a table and writes it.

dbt builds the models in a copy of the warehouse in DVD_RENTAL_HOME (`dvd-rental run` creates it), in a
temporary folder. Beside it, writes of one second each open the DuckDB file. The same build is then timed
without writers, with the file shared between nodes (the profile as it is) and kept open (without the plugin).
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import psutil

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, PROJECT_ROOT, Settings
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "write_lock.md"
DBT = Path(sys.executable).parent / "dbt"
SHARING = """      keep_open: false
      plugins:
        - module: dvd_rental_pipeline.warehouse.dbt_plugin
"""
WRITE_SECONDS = 1.0
PAUSE_SECONDS = 2.0


class Build:
    """A running `dbt build` of all models in a fresh copy of `base`."""

    def __init__(self, folder: Path, base: Path, *, shares_file: bool) -> None:
        self.warehouse = folder / "warehouse.duckdb"
        self.warehouse.unlink(missing_ok=True)
        shutil.copyfile(base, self.warehouse)
        profile = (DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8")
        if SHARING not in profile:
            raise SystemExit("dbt/profiles.yml no longer has the lines that this benchmark leaves out")
        text = profile if shares_file else profile.replace(SHARING, "")
        (folder / "profiles.yml").write_text(text, encoding="utf-8")
        environment = {
            **os.environ,
            "DVD_RENTAL_HOME": str(folder),
            "DBT_PROFILES_DIR": str(folder),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "target"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        command = [str(DBT), "build", "--quiet", "--exclude-resource-type", "unit_test", "--target", "local"]
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=DBT_PROJECT_DIR, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def seconds(self) -> float:
        """Wait for the build and return its wall-clock seconds."""
        # dbt exits with 1 when a test fails, which the sample data provoke.
        if self._process.wait() not in {0, 1}:
            raise SystemExit("dbt build failed")
        return time.monotonic() - self._started


def write_beside(build: Build) -> list[float]:
    """Write while `build` runs; returns the seconds that each write waited for the file."""
    warehouse, waits = DuckDBWarehouse(build.warehouse), []
    while build.is_running:
        asked = time.monotonic()
        with warehouse.transaction() as session:
            waits.append(time.monotonic() - asked)
            session.execute("create table if not exists writes (written_at timestamp)")
            session.execute("insert into writes values (now()::timestamp)")
            time.sleep(WRITE_SECONDS)
        time.sleep(PAUSE_SECONDS)
    return waits


def measure(base: Path, rounds: int) -> Iterator[str]:
    """The lines of the report, as they are known."""
    memory = psutil.virtual_memory().total / 2**30
    yield "# The write lock, measured\n"
    yield (
        f"`python benchmarks/write_lock.py` on {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}, load "
        f"{os.getloadavg()[0]:.1f} at the start. Seconds of wall clock.\n"
    )
    with tempfile.TemporaryDirectory(prefix="write-lock-") as name:
        folder = Path(name)
        Build(folder, base, shares_file=True).seconds()  # parses the project
        build = Build(folder, base, shares_file=True)
        waits = write_beside(build)
        with_writers = build.seconds()
        yield (
            f"Beside a dbt build of {with_writers:.1f} s, {len(waits)} writes of {WRITE_SECONDS:.0f} s waited "
            f"for the file: median {statistics.median(waits):.2f} s, at most {max(waits):.2f} s.\n"
        )
        shared, kept = [], []
        for _ in range(rounds):
            shared.append(Build(folder, base, shares_file=True).seconds())
            kept.append(Build(folder, base, shares_file=False).seconds())
    yield "| dbt build without writers | seconds, best | relative |\n|---|---:|---:|"
    yield from rows(shared, kept)


def rows(shared: Sequence[float], kept: Sequence[float]) -> Iterator[str]:
    yield f"| file kept open | {min(kept):.1f} | 1 |"
    yield f"| file shared between nodes | {min(shared):.1f} | {min(shared) / min(kept):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="builds of each kind, of which the best counts")
    arguments = parser.parse_args()
    base = Settings.load().warehouse_path
    if not base.exists():
        raise SystemExit(f"There is no warehouse at {base} yet: `dvd-rental run` creates it.")
    lines = []
    for line in measure(base, arguments.rounds):
        print(line, flush=True)
        lines.append(line)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
