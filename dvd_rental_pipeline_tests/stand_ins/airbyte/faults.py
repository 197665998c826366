"""Faults that a test injects: error responses, delays, a rate limit and expired tokens."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Fault:
    """The next `times` requests with this method and path get HTTP `status`, or a response `seconds` late.

    With `after`, the request is carried out first, and only its response is lost or late.
    """

    times: int
    status: int | None = None
    seconds: float = 0.0
    method: str | None = None
    path: str = ""
    after: bool = False


class Faults:
    """The faults that have not occurred yet."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, which reduces its `times` by one; None if there is none."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.method in (None, method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return None


class RateLimit:
    """At most `requests` in any `seconds`, measured by `now`. Airbyte publishes no figure: a test sets one."""

    def __init__(self, requests: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._requests, self._seconds, self._now = requests, seconds, now
        self._accepted: deque[float] = deque()
        self.refused = 0

    def retry_after(self) -> int | None:
        """Whole seconds until a request is accepted; None if this one is."""
        now = self._now()
        while self._accepted and self._accepted[0] + self._seconds <= now:
            self._accepted.popleft()
        if len(self._accepted) < self._requests:
            self._accepted.append(now)
            return None
        self.refused += 1
        return math.ceil(self._accepted[0] + self._seconds - now)


class Tokens:
    """Access tokens and their expiry. New ones are valid for `seconds`."""

    def __init__(self) -> None:
        self.seconds = 180.0
        self.issued = 0
        self._expires_at: dict[str, float] = {}

    def issue(self) -> str:
        self.issued += 1
        token = f"token-{self.issued}"
        self._expires_at[token] = time.monotonic() + self.seconds
        return token

    def is_valid(self, token: str) -> bool:
        return self._expires_at.get(token, 0.0) > time.monotonic()

    def expire_all(self) -> None:
        self._expires_at.clear()
