"""The stand-in as a server on a free port of this machine."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from dvd_rental_pipeline_tests.stand_ins.airbyte import contracts, public_api
from dvd_rental_pipeline_tests.stand_ins.airbyte.configuration_api import ConfigurationApi
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import Destination
from dvd_rental_pipeline_tests.stand_ins.airbyte.faults import Fault, Faults, RateLimit, Tokens
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobRunner, JobScript
from dvd_rental_pipeline_tests.stand_ins.airbyte.public_api import PublicApi, RefusedError, problem_response
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Actor, Connection, Job, Workspace, new_id

# The required fields of the connectors.
_SOURCE = {"host": "db.test", "port": 5432, "database": "dvdrental", "username": "airbyte_reader"}
_DESTINATION = {
    "host": "organisation-account.snowflakecomputing.com",
    "role": "LOADER",
    "warehouse": "LOADING",
    "database": "DVD_RENTALS",
    "schema": "DVD_RENTAL",
    "username": "AIRBYTE",
}


class AirbyteStandIn:
    """An Airbyte with one workspace.

    Args:
        destination: receives the rows of syncs. Without one, syncs move no rows.
        client: id and secret of the application that may log in.
        user: name and password of the user that may log in with basic authentication.
    """

    def __init__(
        self,
        destination: Destination | None = None,
        *,
        client: tuple[str, str] | None = ("client", "client-secret"),
        user: tuple[str, str] | None = None,
    ) -> None:
        self.workspace = Workspace()
        self.faults = Faults()
        self.tokens = Tokens()
        self.rate_limit: RateLimit | None = None
        self.calls: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self.forbidden = False
        self._user = user
        self._runner = JobRunner(self.workspace, destination)
        self._app = self._build(client)
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def public_url(self) -> str:
        return f"{self.url}{public_api.PREFIX}"

    @property
    def jobs(self) -> Sequence[Job]:
        return self.workspace.jobs

    @contextmanager
    def running(self) -> Iterator["AirbyteStandIn"]:
        """Serve while the context lasts, then cancel the running jobs."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
            self._runner.cancel_all()
        assert not self.violations, "\n".join(["not as Airbyte's published documents say:", *self.violations])

    def start(self) -> None:
        """Listen, after a stop on the same port as before."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(self._app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop listening. Jobs continue, as in an Airbyte of which only the API is down."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._server = None

    def script_next_job(self, script: JobScript) -> JobScript:
        """Set the script of the next job without one."""
        return self._runner.add_script(script)

    def start_job(self, connection_id: str, type_: str = "sync") -> Job:
        """Start a job as another user of Airbyte."""
        job = self._runner.start(connection_id, type_)
        assert job is not None, "another job is running"
        return job

    def fail(self, times: int, status: int = 503, **fault: Any) -> None:
        """Answer the next requests with an error; `fault` has other fields of `Fault`."""
        self.faults.add(Fault(times, status, **fault))

    def delay(self, times: int, seconds: float, **fault: Any) -> None:
        """Delay the responses of the next requests; `fault` has other fields of `Fault`."""
        self.faults.add(Fault(times, seconds=seconds, **fault))

    def add_connection(
        self, streams: Mapping[str, Sequence[str]], source: Mapping[str, Any] | None = None
    ) -> Connection:
        """Add a connection as made in the UI: each stream with its primary key."""
        source_actor = Actor(new_id(), "PostgreSQL", "postgres", dict(source or _SOURCE))
        destination_actor = Actor(new_id(), "Snowflake", "snowflake", dict(_DESTINATION))
        self.workspace.sources[source_actor.id] = source_actor
        self.workspace.destinations[destination_actor.id] = destination_actor
        fields = {
            "name": "DVD rental",
            "status": "active",
            "prefix": "",
            "tags": [],
            "schedule": {"scheduleType": "manual"},
            "namespaceDefinition": "destination",
            "configurations": {
                "streams": [
                    {
                        "name": name,
                        "namespace": "public",
                        "syncMode": "incremental_deduped_history",
                        "cursorField": ["_ab_cdc_lsn"],
                        "primaryKey": [[column] for column in key],
                    }
                    for name, key in streams.items()
                ]
            },
        }
        connection = Connection(new_id(), source_actor.id, destination_actor.id, fields)
        self.workspace.connections[connection.id] = connection
        return connection

    def _build(self, client: tuple[str, str] | None) -> Starlette:
        public = PublicApi(self.workspace, self._runner, self.tokens, client)
        configuration = self.configuration_api = ConfigurationApi(self.workspace, self._runner)
        app = Starlette(
            routes=[*public.routes(), *configuration.routes()],
            exception_handlers={RefusedError: _refuse, KeyError: _refuse_incomplete},
        )
        app.add_middleware(BaseHTTPMiddleware, dispatch=self._dispatch)
        return app

    async def _dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        path = request.url.path
        self.calls.append((request.method, path))
        fault = self.faults.take(request.method, path)
        if fault is not None and not fault.after:
            await asyncio.sleep(fault.seconds)
            if fault.status is not None:
                return problem_response(fault.status, "A fault of the test")
        if self.rate_limit is not None and (seconds := self.rate_limit.retry_after()) is not None:
            refusal = problem_response(429, "Too many requests")
            refusal.headers["Retry-After"] = str(seconds)
            return refusal
        if not path.endswith("/applications/token"):
            if not self._is_authorized(request.headers.get("authorization", "")):
                return problem_response(401, "Unauthorized")
            if self.forbidden:
                return problem_response(403, "Forbidden")
        body = await request.body()
        response = await self._validated(request, body, await call_next(request))
        if fault is not None and fault.after:
            await asyncio.sleep(fault.seconds)
            if fault.status is not None:
                return problem_response(fault.status, "A fault of the test")
        return response

    async def _validated(self, request: Request, body: bytes, response: Response) -> Response:
        """The response, after it and its request were compared with Airbyte's published documents."""
        content = b"".join([chunk async for chunk in response.body_iterator])  # type: ignore[attr-defined]
        try:
            sent = json.loads(body) if body else None
        except ValueError:
            # Only tokens are requested by a form.
            sent = None
        self.violations += contracts.violations(
            request.method, request.url.path, response.status_code, sent, json.loads(content)
        )
        return Response(content, response.status_code, dict(response.headers))

    def _is_authorized(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        if scheme == "Bearer":
            return self.tokens.is_valid(value)
        if scheme == "Basic" and self._user is not None:
            return base64.b64decode(value).decode() == ":".join(self._user)
        return False


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return problem_response(error.status, str(error))


async def _refuse_incomplete(request: Request, error: Exception) -> Response:
    return problem_response(400, f"The request lacks {error}")
