"""The configuration API, which Airbyte's UI uses, and dagster-airbyte for the details of a connection."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobRunner
from dvd_rental_pipeline_tests.stand_ins.airbyte.public_api import RefusedError
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Connection, Job, Workspace

PREFIX = "/api/v1"


class ConfigurationApi:
    """The routes of the API, for one workspace."""

    def __init__(self, workspace: Workspace, runner: JobRunner) -> None:
        self._workspace = workspace
        self._runner = runner

    def routes(self) -> list[Route]:
        return [
            Route(f"{PREFIX}/connections/get", self._get, methods=["POST"]),
            Route(f"{PREFIX}/connections/refresh", self._refresh, methods=["POST"]),
            Route(f"{PREFIX}/jobs/get_without_logs", self._job, methods=["POST"]),
        ]

    async def _get(self, request: Request) -> Response:
        connection = self._connection((await request.json())["connectionId"])
        return JSONResponse(
            {
                "connectionId": connection.id,
                "name": connection.fields["name"],
                "sourceId": connection.source_id,
                "destinationId": connection.destination_id,
                "status": connection.fields["status"],
                "breakingChange": False,
                "prefix": connection.fields["prefix"],
                "scheduleType": "manual",
                "syncCatalog": {"streams": [_stream(stream) for stream in connection.streams]},
            }
        )

    async def _refresh(self, request: Request) -> Response:
        body = await request.json()
        connection = self._connection(body["connectionId"])
        if body["refreshMode"] not in {"Truncate", "Merge"}:
            raise RefusedError(400, f"Unknown refresh mode {body['refreshMode']}")
        job = self._runner.start(connection.id, "refresh", body["refreshMode"])
        if job is None:
            raise RefusedError(409, "A sync is already running for this connection")
        return JSONResponse({"job": _job(job)})

    async def _job(self, request: Request) -> Response:
        job_id = (await request.json())["id"]
        for job in self._workspace.jobs:
            if job.id == job_id:
                return JSONResponse({"job": _job(job), "attempts": [{"attempt": _attempt(job)}]})
        raise RefusedError(404, f"The job {job_id} does not exist")

    def _connection(self, id_: str) -> Connection:
        if id_ not in self._workspace.connections:
            raise RefusedError(404, f"The connection {id_} does not exist")
        return self._workspace.connections[id_]


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "configType": job.type,
        "configId": job.connection_id,
        "status": job.status,
        "createdAt": int(job.created_at.timestamp()),
        "updatedAt": int(job.updated_at.timestamp()),
    }


def _attempt(job: Job) -> dict[str, Any]:
    return {
        "id": 0,
        "status": job.status,
        "createdAt": int(job.created_at.timestamp()),
        "updatedAt": int(job.updated_at.timestamp()),
        "streamStats": [
            {"streamName": name, "stats": {"recordsEmitted": rows, "recordsCommitted": rows}}
            for name, rows in (job.rows or {}).items()
        ],
        "failureSummary": {
            "failures": [
                {"failureOrigin": "source", "failureType": "config_error", "externalMessage": message}
                for message in job.failures
            ],
            "partialSuccess": False,
        },
    }


def _stream(stream: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": {
            "name": stream["name"],
            "namespace": stream.get("namespace", "public"),
            "jsonSchema": {"type": "object", "properties": {}},
            "supportedSyncModes": ["full_refresh", "incremental"],
            "sourceDefinedCursor": True,
            "sourceDefinedPrimaryKey": stream.get("primaryKey", []),
        },
        "config": {
            "syncMode": "incremental",
            "destinationSyncMode": "append_dedup",
            "cursorField": stream.get("cursorField", []),
            "primaryKey": stream.get("primaryKey", []),
            "aliasName": stream["name"],
            "selected": True,
        },
    }
