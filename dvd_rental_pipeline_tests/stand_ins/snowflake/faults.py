"""Faults that a test injects between a client and Snowflake: delays, error responses, broken connections."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import PlainTextResponse

Message = dict[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


@dataclass
class Fault:
    """A fault of the next `requests` requests whose path begins with `path`.

    They are delayed by `seconds`. Then, with `status` 0 the connection is closed, with another status that is
    the response, and without one the application answers.
    """

    path: str = "/"
    requests: int = 1
    seconds: float = 0.0
    status: int | None = None


class FaultMiddleware:
    """An ASGI middleware that applies `faults` to requests before `application` gets them."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.faults: list[Fault] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        fault = self._take_fault(scope["path"]) if scope["type"] == "http" else None
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.status == 0:
                send.__self__.transport.abort()
                return
            if fault.status is not None:
                await PlainTextResponse("A fault of the test", fault.status)(scope, receive, send)
                return
        await self.application(scope, receive, send)

    def _take_fault(self, path: str) -> Fault | None:
        if path.startswith("/stand-in/"):
            # The test must be able to clear faults.
            return None
        for fault in self.faults:
            if fault.requests > 0 and path.startswith(fault.path):
                fault.requests -= 1
                return fault
        return None
