"""Measuring for benchmarks: the cost of one piece of work, and the comparison of several methods."""

import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Line = tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Wall clock time, and the peak memory of the process: 0 where it was not measured."""

    seconds: float
    megabytes: float = 0.0


class ToolNotAvailableError(Exception):
    """A tool cannot be measured on this machine. The message gives the reason."""


class Comparison:
    """The median costs of several methods for the same work, run in turn. The first method is the limit."""

    def __init__(self) -> None:
        self._costs: dict[str, list[Cost]] = {}
        self._missing: dict[str, str] = {}

    def measure(self, methods: Mapping[str, Callable[[], Cost]]) -> None:
        """Run each of `methods` once, except those that were not available before."""
        for name, run in methods.items():
            if name in self._missing:
                continue
            try:
                cost = run()
            except ToolNotAvailableError as error:
                self._missing[name] = str(error)
            else:
                self._costs.setdefault(name, []).append(cost)

    def table(self, amount: int, unit: str) -> str:
        """One line per measured method, each of which processed `amount` of `unit`; then those not measured."""
        medians = {
            name: statistics.median(cost.seconds for cost in costs) for name, costs in self._costs.items()
        }
        limit = next(iter(medians.values()))
        lines = [
            (
                name,
                f"{seconds:.2f}",
                f"{seconds / limit:.2f}",
                f"{amount / seconds:,.0f}",
                memory(self._costs[name]),
            )
            for name, seconds in medians.items()
        ]
        missing = [f"Not measured: {name}. {reason}\n" for name, reason in self._missing.items()]
        head = ("method", "seconds", "times the limit", f"{unit} per second", "peak memory")
        return "\n".join((table(head, lines), *missing))


def timed(work: Callable[[], object]) -> Cost:
    started = time.perf_counter()
    work()
    return Cost(time.perf_counter() - started)


def ten_times(cost: Cost) -> Cost:
    return Cost(cost.seconds * 10, cost.megabytes)


def memory(costs: Sequence[Cost]) -> str:
    peak = max(cost.megabytes for cost in costs)
    return f"{peak:,.0f} MB" if peak else "-"


def table(head: Line, lines: Sequence[Line]) -> str:
    rows = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def print_cost(seconds: float) -> None:
    """Print the cost of this process, as its last line of output."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "megabytes": kibibytes * 1024 / 1e6}))


def parse_cost(output: str) -> Cost:
    """The cost that a process printed as its last line."""
    return Cost(**json.loads(output.rstrip().rpartition("\n")[2]))
