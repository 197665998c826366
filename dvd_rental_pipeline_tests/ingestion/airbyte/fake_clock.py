"""A clock for tests of waiting: hours pass in milliseconds, and things happen at given times."""

import time
from collections.abc import Callable


class FakeClock:
    """Stands in for the module `time`. `now` is 0 at first and advances only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self._actions: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` in the first sleep that ends at `seconds` or later."""
        self._actions.append((seconds, action))

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        # Lets the threads of the stand-in continue.
        time.sleep(0.005)
        self.now += seconds
        due = [action for at, action in self._actions if at <= self.now]
        self._actions = [(at, action) for at, action in self._actions if at > self.now]
        for action in due:
            action()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait in real time until `condition` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met within {seconds} s"
        time.sleep(0.01)
