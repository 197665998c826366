"""What goes wrong, when a test says so."""

import threading
import time
from dataclasses import dataclass


@dataclass
class Fault:
    """For the next `times` requests whose method and path fit, answer `status`, or be late by `seconds`.

    With `after` the request is carried out first, and only its answer is lost or late.
    """

    times: int
    status: int | None = None
    seconds: float = 0.0
    method: str | None = None
    path: str = ""
    after: bool = False


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def meet(self, method: str, path: str) -> Fault | None:
        """The fault that this request runs into, used up by one."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.method in (None, method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return None


class Tokens:
    """Access tokens and when they expire."""

    def __init__(self) -> None:
        self.seconds = 180.0
        self.issued = 0
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        self.issued += 1
        token = f"token-{self.issued}"
        self._until[token] = time.monotonic() + self.seconds
        return token

    def accepts(self, token: str) -> bool:
        return self._until.get(token, 0.0) > time.monotonic()

    def expire(self) -> None:
        """All tokens expire now."""
        self._until.clear()
