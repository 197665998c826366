"""What a run costs when everything, nothing, or little has changed: `dvd-rental run` on sample data.

`python benchmarks/reuse.py` prints a table. Processor time is that of the command and of the programs that it
starts; the source is another process. For one of the runs, a comment is added to a model, and removed again.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import table

PROGRAMS = Path(sys.executable).parent
PROJECT = Path(__file__).parents[1] / "dbt"
MODEL = "top_films"
RUN = ("dvd-rental", "run")
DBT = (
    *("dbt", "build", "--select", MODEL, "--exclude-resource-type", "unit_test", "--target", "local"),
    *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
)
HEAD = ("run", "wall, s", "of the first", "processor time, s", "of the first", "load")


@dataclass(frozen=True)
class RunCost:
    """The cost of one command, and the load average of the machine when it ended."""

    wall: float
    processor: float
    load: float


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DVD_RENTAL_HOME": folder}
        measure(["dvd-rental", "source", "start"], environment)
        try:
            costs = {
                "first": measure(RUN, environment),
                "nothing has changed": measure(RUN, environment),
            }
            with changed_model():
                costs[f"code of the report {MODEL}"] = measure(RUN, environment)
                alone = {**environment, "DBT_TARGET_PATH": f"{folder}/alone", "DBT_LOG_PATH": f"{folder}/alone"}
                measure(DBT, alone)
                # The second one has parsed the project before.
                costs[f"`dbt build --select {MODEL}` alone"] = measure(DBT, alone)
            measure(RUN, environment)
            measure(["dvd-rental", "source", "simulate", "--events", "20"], environment)
            costs["20 events in the source"] = measure(RUN, environment)
            costs["nothing has changed, --no-reuse"] = measure([*RUN, "--no-reuse"], environment)
        finally:
            measure(["dvd-rental", "source", "stop"], environment)
    first = costs["first"]
    lines = [
        (
            name,
            f"{cost.wall:.1f}",
            f"{cost.wall / first.wall:.2f}",
            f"{cost.processor:.1f}",
            f"{cost.processor / first.processor:.2f}",
            f"{cost.load:.1f}",
        )
        for name, cost in costs.items()
    ]
    print(f"{os.cpu_count()} cores\n\n{table(HEAD, lines)}")


@contextmanager
def changed_model() -> Iterator[None]:
    """Add a comment to the SQL of the model, which changes its code version, and remove it in the end."""
    (file,) = PROJECT.rglob(f"{MODEL}.sql")
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}-- changed\n", encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def measure(arguments: Sequence[str], environment: dict[str, str]) -> RunCost:
    started, before = time.perf_counter(), processor_time()
    done = subprocess.run(
        [PROGRAMS / arguments[0], *arguments[1:]], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    print(f"{arguments}\n{done.stderr}", file=sys.stderr)
    return RunCost(time.perf_counter() - started, processor_time() - before, os.getloadavg()[0])


def processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
