"""The public API, version 1, which Airbyte documents."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dvd_rental_pipeline_tests.stand_ins.airbyte.faults import Tokens
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobRunner
from dvd_rental_pipeline_tests.stand_ins.airbyte.replication import discover, source_url
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import (
    Actor,
    Connection,
    Job,
    Workspace,
    new_id,
    unmask,
)

Object = TypeVar("Object")

PREFIX = "/api/public/v1"
_DEFAULTS: Mapping[str, Any] = {
    "name": "source → destination",
    "namespaceDefinition": "destination",
    "nonBreakingSchemaUpdatesBehavior": "ignore",
    "prefix": "",
    "schedule": {"scheduleType": "manual"},
    "status": "active",
    "tags": [],
    "configurations": {"streams": []},
}


class RefusedError(Exception):
    """Raised to refuse a request with this HTTP status and detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def problem_response(status: int, detail: str) -> Response:
    """An error response as Airbyte sends it (RFC 7807)."""
    body = {"type": "https://reference.airbyte.com/reference/errors", "title": detail, "status": status}
    return JSONResponse({**body, "detail": detail}, status_code=status)


class PublicApi:
    """The routes of the API, for one workspace."""

    def __init__(
        self, workspace: Workspace, runner: JobRunner, tokens: Tokens, client: tuple[str, str] | None
    ) -> None:
        self._workspace = workspace
        self._runner = runner
        self._tokens = tokens
        self._client = client

    def routes(self) -> list[Route]:
        routes = [
            Route(f"{PREFIX}/applications/token", self._token, methods=["POST"]),
            Route(f"{PREFIX}/workspaces/{{id}}", self._get_workspace),
            Route(f"{PREFIX}/streams", self._streams),
            Route(f"{PREFIX}/jobs", self._list_jobs, methods=["GET"]),
            Route(f"{PREFIX}/jobs", self._create_job, methods=["POST"]),
            Route(f"{PREFIX}/jobs/{{id:int}}", self._get_job, methods=["GET"]),
            Route(f"{PREFIX}/jobs/{{id:int}}", self._cancel_job, methods=["DELETE"]),
            Route(f"{PREFIX}/connections", self._list_connections, methods=["GET"]),
            Route(f"{PREFIX}/connections", self._create_connection, methods=["POST"]),
            Route(f"{PREFIX}/connections/{{id}}", self._get_connection, methods=["GET"]),
            Route(f"{PREFIX}/connections/{{id}}", self._patch_connection, methods=["PATCH"]),
        ]
        for plural, actors in (
            ("sources", self._workspace.sources),
            ("destinations", self._workspace.destinations),
        ):
            routes += self._actor_routes(plural, actors)
        return routes

    def _actor_routes(self, plural: str, actors: dict[str, Actor]) -> list[Route]:
        role = plural.removesuffix("s")

        def to_response(actor: Actor) -> dict[str, Any]:
            return {
                f"{role}Id": actor.id,
                "name": actor.name,
                f"{role}Type": actor.type,
                "definitionId": new_id(),
                "workspaceId": self._workspace.id,
                "createdAt": self._workspace.created_at,
                # As in Airbyte, the type is not stored in the configuration.
                "configuration": {
                    field: value
                    for field, value in actor.masked_configuration.items()
                    if field != f"{role}Type"
                },
            }

        async def listed(request: Request) -> Response:
            return _page(request, [to_response(actor) for actor in actors.values()])

        async def create(request: Request) -> Response:
            body = await request.json()
            self._require_workspace(body["workspaceId"])
            configuration = body["configuration"]
            actor = Actor(new_id(), body["name"], configuration[f"{role}Type"], configuration)
            actors[actor.id] = actor
            return JSONResponse(to_response(actor))

        async def get(request: Request) -> Response:
            return JSONResponse(to_response(_get(actors, request.path_params["id"], role)))

        async def put(request: Request) -> Response:
            actor = _get(actors, request.path_params["id"], role)
            body = await request.json()
            actor.name = body["name"]
            actor.configuration = unmask(body["configuration"], actor.configuration)
            return JSONResponse(to_response(actor))

        return [
            Route(f"{PREFIX}/{plural}", listed, methods=["GET"]),
            Route(f"{PREFIX}/{plural}", create, methods=["POST"]),
            Route(f"{PREFIX}/{plural}/{{id}}", get, methods=["GET"]),
            Route(f"{PREFIX}/{plural}/{{id}}", put, methods=["PUT"]),
        ]

    async def _token(self, request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body: Mapping[str, Any] = dict(parse_qsl((await request.body()).decode()))
        else:
            body = await request.json()
        if self._client is None or (body.get("client_id"), body.get("client_secret")) != self._client:
            raise RefusedError(401, "The client is unknown")
        token = {"access_token": self._tokens.issue(), "token_type": "Bearer"}
        return JSONResponse({**token, "expires_in": int(self._tokens.seconds)})

    async def _get_workspace(self, request: Request) -> Response:
        self._require_workspace(request.path_params["id"])
        return JSONResponse(
            {
                "workspaceId": self._workspace.id,
                "name": "DVD rental",
                "dataResidency": "auto",
                "notifications": {},
            }
        )

    def _streams(self, request: Request) -> Response:
        source = _get(self._workspace.sources, request.query_params["sourceId"], "source")
        try:
            shapes = discover(source_url(source.configuration), source.configuration["schemas"][0])
        except psycopg.Error as error:
            raise RefusedError(422, f"The source cannot be read: {error}") from error
        return JSONResponse(
            [
                {
                    "streamName": shape.name,
                    "streamnamespace": source.configuration["schemas"][0],
                    "syncModes": ["full_refresh_overwrite", "incremental_deduped_history"],
                    "defaultCursorField": ["_ab_cdc_lsn"],
                    "sourceDefinedCursorField": True,
                    "sourceDefinedPrimaryKey": [[name] for name in shape.key],
                    "propertyFields": [[column.name] for column in shape.source_columns],
                }
                for shape in shapes.values()
            ]
        )

    async def _list_jobs(self, request: Request) -> Response:
        query = request.query_params
        order = query.get("orderBy", "createdAt|DESC")
        if order not in {"createdAt|DESC", "createdAt|ASC", "updatedAt|DESC", "updatedAt|ASC"}:
            raise RefusedError(400, f"Cannot order by {order}")
        jobs = [
            job
            for job in self._workspace.jobs
            if query.get("connectionId") in (None, job.connection_id)
            and query.get("jobType") in (None, job.type)
            and query.get("status") in (None, job.status)
        ]
        field = "created_at" if order.startswith("created") else "updated_at"
        jobs.sort(key=lambda job: getattr(job, field), reverse=order.endswith("DESC"))
        return _page(request, [_job(job) for job in jobs])

    async def _create_job(self, request: Request) -> Response:
        body = await request.json()
        connection = _get(self._workspace.connections, body["connectionId"], "connection")
        type_ = body["jobType"]
        if type_ == "refresh":
            raise RefusedError(422, "Refreshes are not supported in the public API")
        if type_ not in {"sync", "reset", "clear"}:
            raise RefusedError(422, f"Unknown job type {type_}")
        if connection.fields["status"] != "active":
            raise RefusedError(409, "The connection is not active")
        job = self._runner.start(connection.id, type_)
        if job is None:
            raise RefusedError(409, "A sync is already running for this connection")
        return JSONResponse(_job(job))

    async def _get_job(self, request: Request) -> Response:
        job = self._job(request)
        job.reported_statuses.add(job.status)
        return JSONResponse(_job(job))

    async def _cancel_job(self, request: Request) -> Response:
        job = self._job(request)
        if not job.is_running:
            raise RefusedError(409, "The job is not running")
        job.cancelled.set()
        job.set_status("cancelled")
        return JSONResponse(_job(job))

    async def _list_connections(self, request: Request) -> Response:
        return _page(
            request, [self._connection(connection) for connection in self._workspace.connections.values()]
        )

    async def _create_connection(self, request: Request) -> Response:
        body = await request.json()
        _get(self._workspace.sources, body["sourceId"], "source")
        _get(self._workspace.destinations, body["destinationId"], "destination")
        fields = {key: value for key, value in body.items() if key not in {"sourceId", "destinationId"}}
        connection = Connection(new_id(), body["sourceId"], body["destinationId"], {**_DEFAULTS, **fields})
        self._workspace.connections[connection.id] = connection
        return JSONResponse(self._connection(connection))

    async def _get_connection(self, request: Request) -> Response:
        return JSONResponse(
            self._connection(_get(self._workspace.connections, request.path_params["id"], "connection"))
        )

    async def _patch_connection(self, request: Request) -> Response:
        connection = _get(self._workspace.connections, request.path_params["id"], "connection")
        connection.fields |= await request.json()
        return JSONResponse(self._connection(connection))

    def _connection(self, connection: Connection) -> dict[str, Any]:
        return {
            **connection.fields,
            "connectionId": connection.id,
            "sourceId": connection.source_id,
            "destinationId": connection.destination_id,
            "workspaceId": self._workspace.id,
            "createdAt": self._workspace.created_at,
        }

    def _require_workspace(self, id_: str) -> None:
        if id_ != self._workspace.id:
            raise RefusedError(404, f"The workspace {id_} does not exist")

    def _job(self, request: Request) -> Job:
        for job in self._workspace.jobs:
            if job.id == request.path_params["id"]:
                return job
        raise RefusedError(404, f"The job {request.path_params['id']} does not exist")


def _get(objects: Mapping[str, Object], id_: str, kind: str) -> Object:
    if id_ not in objects:
        raise RefusedError(404, f"The {kind} {id_} does not exist")
    return objects[id_]


def _page(request: Request, items: Sequence[Mapping[str, Any]]) -> Response:
    try:
        limit = int(request.query_params.get("limit", 20))
        offset = int(request.query_params.get("offset", 0))
    except ValueError:
        raise RefusedError(400, "limit and offset must be numbers") from None
    if not 1 <= limit <= 100 or offset < 0:
        raise RefusedError(400, "limit must be between 1 and 100, offset at least 0")
    body: dict[str, Any] = {"data": list(items[offset : offset + limit]), "previous": "", "next": ""}
    if offset + limit < len(items):
        body["next"] = f"https://api.airbyte.com{request.url.path}?limit={limit}&offset={offset + limit}"
    return JSONResponse(body)


def _job(job: Job) -> dict[str, Any]:
    body: dict[str, Any] = {
        "jobId": job.id,
        "status": job.status,
        "jobType": job.type,
        "connectionId": job.connection_id,
        "startTime": job.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastUpdatedAt": job.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "duration": f"PT{(job.updated_at - job.created_at).seconds}S",
    }
    if job.rows is not None:
        body |= {"rowsSynced": sum(job.rows.values()), "bytesSynced": job.bytes}
    return body
