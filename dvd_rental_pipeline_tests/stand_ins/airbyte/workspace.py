"""The state of an Airbyte workspace: sources, destinations, connections, jobs."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MASK = "**********"
SECRET_FIELDS = {
    "client_key",
    "client_key_password",
    "password",
    "private_key",
    "private_key_password",
    "ssh_key",
    "tunnel_user_password",
}
CONNECTOR_VERSIONS = {"postgres": "3.7.2", "snowflake": "4.0.51"}
RUNNING_STATUSES = ("pending", "queued", "running", "incomplete")


@dataclass
class Actor:
    """A source or a destination. `configuration` contains its secrets."""

    id: str
    name: str
    type: str
    configuration: dict[str, Any]
    version: str = ""

    def __post_init__(self) -> None:
        self.version = self.version or CONNECTOR_VERSIONS[self.type]

    @property
    def masked_configuration(self) -> dict[str, Any]:
        """The configuration as Airbyte returns it, without secrets."""
        masked: dict[str, Any] = mask(self.configuration)
        return masked


@dataclass
class Connection:
    """A connection, with the fields of the public API.

    `pending_refresh` is the mode of a refresh that was requested, and that the next sync carries out.
    """

    id: str
    source_id: str
    destination_id: str
    fields: dict[str, Any]
    pending_refresh: str | None = None

    @property
    def streams(self) -> list[dict[str, Any]]:
        streams: list[dict[str, Any]] = self.fields["configurations"]["streams"]
        return streams


@dataclass
class Job:
    """A job and its results. `reported_statuses` are those that a client has seen."""

    id: int
    type: str
    connection_id: str
    refresh_mode: str | None = None
    status: str = "pending"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: Mapping[str, int] | None = None
    bytes: int | None = None
    failures: tuple[str, ...] = ()
    cancelled: threading.Event = field(default_factory=threading.Event)
    reported_statuses: set[str] = field(default_factory=set)

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING_STATUSES

    def set_status(self, status: str) -> None:
        self.status = status
        self.updated_at = datetime.now(UTC)


class Workspace:
    """The state of the stand-in, which survives a restart of its server."""

    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        self.sources: dict[str, Actor] = {}
        self.destinations: dict[str, Actor] = {}
        self.connections: dict[str, Connection] = {}
        self.jobs: list[Job] = []
        self.created_at = int(time.time())
        self.lock = threading.RLock()

    def running_job(self, connection_id: str) -> Job | None:
        return next((job for job in self.jobs if job.connection_id == connection_id and job.is_running), None)


def new_id() -> str:
    return str(uuid.uuid4())


def mask(value: Any) -> Any:
    """A copy of `value` with every secret masked."""
    if isinstance(value, dict):
        return {key: MASK if key in SECRET_FIELDS else mask(inner) for key, inner in value.items()}
    return value


def unmask(value: Any, previous: Any) -> Any:
    """A copy of `value` with the secrets of `previous` in place of masks."""
    if isinstance(value, dict):
        known = previous if isinstance(previous, dict) else {}
        return {key: unmask(inner, known.get(key)) for key, inner in value.items()}
    return previous if value == MASK else value
