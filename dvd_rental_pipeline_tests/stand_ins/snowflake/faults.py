"""What goes wrong on the way to Snowflake: asked for by a test, met by the next requests."""

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
    """What the next `requests` requests to a path that begins with `path` meet.

    `seconds` pass first; then they are answered with HTTP `status`, or, if that is 0, their connection breaks;
    without a status they are answered as ever.
    """

    path: str = "/"
    requests: int = 1
    seconds: float = 0.0
    status: int | None = None


class FaultyWay:
    """The way to `application`, with the faults that are set."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.faults: list[Fault] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        fault = self._next(scope["path"]) if scope["type"] == "http" else None
        if fault is not None:
            await asyncio.sleep(fault.seconds)
            if fault.status == 0:
                send.__self__.transport.abort()
                return
            if fault.status is not None:
                await PlainTextResponse("a fault of the stand-in", fault.status)(scope, receive, send)
                return
        await self.application(scope, receive, send)

    def _next(self, path: str) -> Fault | None:
        if path.startswith("/stand-in/"):
            # The test's own side must work to heal the others.
            return None
        for fault in self.faults:
            if fault.requests > 0 and path.startswith(fault.path):
                fault.requests -= 1
                return fault
        return None
