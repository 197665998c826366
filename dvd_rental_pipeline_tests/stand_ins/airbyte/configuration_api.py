"""The configuration API, which Airbyte's UI uses, and dagster-airbyte for the details of a connection."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobRunner
from dvd_rental_pipeline_tests.stand_ins.airbyte.public_api import RefusedError
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Actor, Connection, Job, Workspace

PREFIX = "/api/v1"
_VERSIONS = f"{PREFIX}/actor_definition_versions"


class ConfigurationApi:
    """The routes of the API, for one workspace."""

    def __init__(self, workspace: Workspace, runner: JobRunner) -> None:
        self._workspace = workspace
        self._runner = runner
        self.answers_no_job = False

    def routes(self) -> list[Route]:
        return [
            Route(f"{PREFIX}/connections/get", self._get, methods=["POST"]),
            Route(f"{PREFIX}/connections/refresh", self._refresh, methods=["POST"]),
            Route(f"{PREFIX}/jobs/get_without_logs", self._job, methods=["POST"]),
            Route(f"{_VERSIONS}/get_for_source", self._source_version, methods=["POST"]),
            Route(f"{_VERSIONS}/get_for_destination", self._destination_version, methods=["POST"]),
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
        connection.pending_refresh = body["refreshMode"]
        # While a job is running, or when its workflow does not answer in time, the refresh stays recorded.
        job = None if self.answers_no_job else self._runner.start(connection.id, "refresh")
        return JSONResponse({"job": None if job is None else _job(job)})

    async def _source_version(self, request: Request) -> Response:
        return self._version(self._workspace.sources, (await request.json())["sourceId"])

    async def _destination_version(self, request: Request) -> Response:
        return self._version(self._workspace.destinations, (await request.json())["destinationId"])

    def _version(self, actors: Mapping[str, Actor], id_: str) -> Response:
        if id_ not in actors:
            raise RefusedError(404, f"The connector {id_} does not exist")
        actor = actors[id_]
        role = "source" if actors is self._workspace.sources else "destination"
        return JSONResponse(
            {
                "dockerRepository": f"airbyte/{role}-{actor.type}",
                "dockerImageTag": actor.version,
                "supportsRefreshes": True,
                "supportState": "supported",
                "isVersionOverrideApplied": False,
                "supportsFileTransfer": False,
                "supportsDataActivation": False,
            }
        )

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
        # Only an older public API has the status "error".
        "status": "failed" if job.status == "error" else job.status,
        "createdAt": int(job.created_at.timestamp()),
        "updatedAt": int(job.updated_at.timestamp()),
    }


def _attempt(job: Job) -> dict[str, Any]:
    return {
        "id": 0,
        "status": "running" if job.is_running else "succeeded" if job.status == "succeeded" else "failed",
        "createdAt": int(job.created_at.timestamp()),
        "updatedAt": int(job.updated_at.timestamp()),
        "streamStats": [
            {"streamName": name, "stats": {"recordsEmitted": rows, "recordsCommitted": rows}}
            for name, rows in (job.rows or {}).items()
        ],
        "failureSummary": {
            "failures": [
                {
                    "failureOrigin": "source",
                    "failureType": "config_error",
                    "externalMessage": message,
                    "timestamp": int(job.updated_at.timestamp()),
                }
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
