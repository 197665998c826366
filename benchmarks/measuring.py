"""What a benchmark measures with: the cost of a piece of work, and ways of doing the same beside each other."""

import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Line = tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Wall clock, and the most memory that the process had: 0 where it was not measured."""

    seconds: float
    megabytes: float = 0.0


class NotHereError(Exception):
    """A tool that cannot be measured on this machine. The message says why."""


class Comparison:
    """What ways of doing the same cost. They run in turn, and medians are told; the first is the limit."""

    def __init__(self) -> None:
        self._costs: dict[str, list[Cost]] = {}
        self._missing: dict[str, str] = {}

    def measure(self, ways: Mapping[str, Callable[[], Cost]]) -> None:
        """Run each of `ways` once. One that is found not to be here is not tried again."""
        for name, run in ways.items():
            if name in self._missing:
                continue
            try:
                cost = run()
            except NotHereError as error:
                self._missing[name] = str(error)
            else:
                self._costs.setdefault(name, []).append(cost)

    def table(self, amount: int, unit: str) -> str:
        """A line for each way that did `amount` of `unit`; then a line for each that could not be measured."""
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
        head = ("way", "seconds", "times the limit", f"{unit} a second", "peak memory")
        return "\n".join((table(head, lines), *missing))


def timed(work: Callable[[], object]) -> Cost:
    started = time.perf_counter()
    work()
    return Cost(time.perf_counter() - started)


def ten_times(cost: Cost) -> Cost:
    return Cost(cost.seconds * 10, cost.megabytes)


def memory(costs: Sequence[Cost]) -> str:
    most = max(cost.megabytes for cost in costs)
    return f"{most:,.0f} MB" if most else "-"


def table(head: Line, lines: Sequence[Line]) -> str:
    rows = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def tell(seconds: float) -> None:
    """Say what this process cost, as the last thing that it prints."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "megabytes": kibibytes * 1024 / 1e6}))


def heard(output: str) -> Cost:
    """What a process told with its last line."""
    return Cost(**json.loads(output.rstrip().rpartition("\n")[2]))
