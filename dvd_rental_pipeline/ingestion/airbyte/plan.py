"""The difference between Airbyte's configuration and the desired one, and applying it.

Only desired fields are compared: other fields of Airbyte are left alone, other streams are differences. Secrets
cannot be compared, since Airbyte returns none; they are sent whenever a source or destination is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.desired_config import (
    SECRET_FIELDS,
    DesiredConfig,
    desired_connection,
)
from dvd_rental_pipeline.ingestion.airbyte.errors import AirbyteError
from dvd_rental_pipeline.ingestion.airbyte.transport import JsonObject
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation

SECRET_MASK = "********"  # noqa: S105 - it is shown in place of a secret
_STREAMS = "configurations.streams"
# Fields of a stream that Airbyte takes from the source if they are not set.
_SOURCE_DEFINED_FIELDS = {"namespace", "cursorField", "primaryKey"}
_FAULTY_FIELDS = {"syncMode", "primaryKey"}


class ObjectKind(StrEnum):
    """The kinds of objects in an Airbyte workspace that a plan covers."""

    SOURCE = "source"
    DESTINATION = "destination"
    CONNECTION = "connection"


@dataclass(frozen=True)
class FieldDifference:
    """The current and the desired value of one field, None if the field is absent. Secrets are masked."""

    kind: ObjectKind
    path: str
    current: str | None
    desired: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.comparison}"

    @property
    def comparison(self) -> str:
        return f"{self.current or 'absent'}, should be {self.desired or 'absent'}"


@dataclass(frozen=True)
class AirbytePlan:
    """Ids of the existing objects, None for an object to create, and the differences."""

    ids: Mapping[ObjectKind, str | None]
    differences: Sequence[FieldDifference]

    @property
    def is_empty(self) -> bool:
        return not self.differences

    def differences_of(self, kind: ObjectKind) -> Sequence[FieldDifference]:
        return [difference for difference in self.differences if difference.kind is kind]


def make_plan(client: AirbyteClient, desired: DesiredConfig, connection_id: str | None) -> AirbytePlan:
    """Compare Airbyte with `desired`. Without a `connection_id` the objects are found by their names.

    Raises:
        AirbyteError: Airbyte refuses or is unreachable, several objects have the same name, or the connection
            of that name has another source or destination.
    """
    current = _current_objects(client, desired, connection_id)
    desired_fields = {
        ObjectKind.SOURCE: _as_stored(ObjectKind.SOURCE, desired.source_name, desired.source),
        ObjectKind.DESTINATION: _as_stored(
            ObjectKind.DESTINATION, desired.destination_name, desired.destination
        ),
        ObjectKind.CONNECTION: desired.connection,
    }
    differences = [
        difference
        for kind in ObjectKind
        for difference in _compare(
            kind, _with_streams_by_name(current[kind] or {}), _with_streams_by_name(desired_fields[kind])
        )
    ]
    ids = {kind: str(found[f"{kind}Id"]) if (found := current[kind]) else None for kind in ObjectKind}
    connection = current[ObjectKind.CONNECTION]
    if connection is not None:
        for kind in (ObjectKind.SOURCE, ObjectKind.DESTINATION):
            if ids[kind] != connection[f"{kind}Id"]:
                # Airbyte cannot change the source or destination of a connection.
                raise AirbyteError(
                    f'The connection "{connection["name"]}" has a {kind} other than '
                    f'"{desired_fields[kind]["name"]}". Delete or rename it in Airbyte, or set '
                    "DVD_RENTAL_AIRBYTE_CONNECTION_ID to the connection to use."
                )
    return AirbytePlan(ids, differences)


def connection_drift(connection: JsonObject, domain: Domain) -> Sequence[Deviation]:
    """How `connection` deviates from the catalogue: streams, keys, schedule, schema policy.

    Needs no settings of the source or the destination, so that a run in production can call it.
    """
    current, desired = (
        _with_streams_by_name(connection),
        _with_streams_by_name(desired_connection(domain)),
    )
    streams = (current.get("configurations") or {}).get("streams") or {}
    missing = [table.name for table in domain.tables if table.name not in streams]
    deviations = [Deviation(table, "the connection does not sync it", True) for table in missing]
    for difference in _compare(ObjectKind.CONNECTION, current, desired):
        message = f"in the connection {difference.path} is {difference.comparison}"
        stream, _, field = difference.path.removeprefix(_STREAMS).removeprefix(".").partition(".")
        if not difference.path.startswith(_STREAMS) or not field:
            deviations.append(Deviation(None, message, False))
        elif stream not in missing and (difference.current or field not in _SOURCE_DEFINED_FIELDS):
            deviations.append(Deviation(stream, message, field in _FAULTY_FIELDS))
    return deviations


def apply_plan(
    client: AirbyteClient, desired: DesiredConfig, plan: AirbytePlan, *, send_secrets: bool = False
) -> str:
    """Create and change what the plan lists, and return the id of the connection.

    With `send_secrets`, source and destination are written even if they do not differ, for example after a
    password was changed.

    Raises:
        AirbyteError: Airbyte refuses or is unreachable. Finished steps remain; make a new plan to continue.
    """
    source_id, destination_id = plan.ids[ObjectKind.SOURCE], plan.ids[ObjectKind.DESTINATION]
    if source_id is None:
        source_id = str(client.create_source(desired.source_name, desired.source)["sourceId"])
    elif send_secrets or plan.differences_of(ObjectKind.SOURCE):
        client.replace_source(source_id, desired.source_name, desired.source)
    if destination_id is None:
        created = client.create_destination(desired.destination_name, desired.destination)
        destination_id = str(created["destinationId"])
    elif send_secrets or plan.differences_of(ObjectKind.DESTINATION):
        client.replace_destination(destination_id, desired.destination_name, desired.destination)
    connection_id = plan.ids[ObjectKind.CONNECTION]
    if connection_id is None:
        created = client.create_connection(source_id, destination_id, desired.connection)
        return str(created["connectionId"])
    if plan.differences_of(ObjectKind.CONNECTION):
        client.update_connection(connection_id, desired.connection)
    return connection_id


def _current_objects(
    client: AirbyteClient, desired: DesiredConfig, connection_id: str | None
) -> Mapping[ObjectKind, JsonObject | None]:
    if connection_id is not None:
        connection = client.connection(connection_id)
        return {
            ObjectKind.SOURCE: client.source(connection["sourceId"]),
            ObjectKind.DESTINATION: client.destination(connection["destinationId"]),
            ObjectKind.CONNECTION: connection,
        }
    return {
        ObjectKind.SOURCE: _find(client.sources(), desired.source_name, ObjectKind.SOURCE),
        ObjectKind.DESTINATION: _find(client.destinations(), desired.destination_name, ObjectKind.DESTINATION),
        ObjectKind.CONNECTION: _find(client.connections(), desired.connection["name"], ObjectKind.CONNECTION),
    }


def _as_stored(kind: ObjectKind, name: str, configuration: JsonObject) -> JsonObject:
    """The fields of a source or destination in a response, which has the type outside of the configuration."""
    type_field = f"{kind}Type"
    stored = {field: value for field, value in configuration.items() if field != type_field}
    return {"name": name, type_field: configuration[type_field], "configuration": stored}


def _find(objects: Sequence[JsonObject], name: str, kind: ObjectKind) -> JsonObject | None:
    found = [candidate for candidate in objects if candidate["name"] == name]
    if len(found) > 1:
        raise AirbyteError(
            f'Airbyte has {len(found)} {kind}s named "{name}": delete or rename all but one, or set '
            "DVD_RENTAL_AIRBYTE_CONNECTION_ID to the connection to use."
        )
    return found[0] if found else None


def _with_streams_by_name(fields: JsonObject) -> JsonObject:
    """`fields` with streams by name and sorted selected columns, since their order has no meaning."""
    streams = (fields.get("configurations") or {}).get("streams")
    if streams is None:
        return fields
    return {**fields, "configurations": {"streams": {stream["name"]: _sorted(stream) for stream in streams}}}


def _sorted(stream: JsonObject) -> JsonObject:
    """The stream with the sorted names of its selected columns; all are synced if none is selected."""
    selected = stream.get("selectedFields")
    names = sorted(".".join(field["fieldPath"]) for field in selected) if selected else "all"
    return {**stream, "selectedFields": names}


def _compare(kind: ObjectKind, current: Any, desired: Any, path: str = "") -> list[FieldDifference]:
    if isinstance(desired, Mapping):
        current_fields = current if isinstance(current, Mapping) else {}
        found = [
            difference
            for name, value in desired.items()
            for difference in _compare(kind, current_fields.get(name), value, f"{path}.{name}".lstrip("."))
        ]
        if path == _STREAMS:
            found += [
                FieldDifference(kind, f"{path}.{name}", "synced", None)
                for name in current_fields
                if name not in desired
            ]
        return found
    field = path.rpartition(".")[2]
    if field in SECRET_FIELDS:
        return [] if current else [FieldDifference(kind, path, None, SECRET_MASK)]
    if current == desired or (desired == "" and current is None):
        return []
    return [FieldDifference(kind, path, None if current is None else _format(current), _format(desired))]


def _format(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_format(item) for item in value)
    return str(value)
