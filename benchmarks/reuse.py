"""What a run costs when everything, nothing, or little has changed: `dvd-rental run` four times on sample data.

`python benchmarks/reuse.py` prints a table. Processor time is that of the command and of the programs that it
starts; the source is another process.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import table

PROGRAM = Path(sys.executable).parent / "dvd-rental"
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
        measure(["source", "start"], environment)
        try:
            costs = {
                "first": measure(["run"], environment),
                "nothing has changed": measure(["run"], environment),
            }
            measure(["source", "simulate", "--events", "20"], environment)
            costs["20 events"] = measure(["run"], environment)
            costs["nothing has changed, --no-reuse"] = measure(["run", "--no-reuse"], environment)
        finally:
            measure(["source", "stop"], environment)
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


def measure(arguments: Sequence[str], environment: dict[str, str]) -> RunCost:
    started, before = time.perf_counter(), processor_time()
    done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{arguments} failed:\n{done.stdout}\n{done.stderr}")
    print(f"{arguments}\n{done.stderr}", file=sys.stderr)
    return RunCost(time.perf_counter() - started, processor_time() - before, os.getloadavg()[0])


def processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
