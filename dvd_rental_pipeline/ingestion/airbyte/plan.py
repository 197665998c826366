"""The difference between what is in Airbyte and what is wanted, and making it go away.

Only what is wanted is compared: a field that Airbyte has beyond that is its own affair, a stream is not.
Secrets cannot be compared, since Airbyte shows none; they are sent whenever a connector is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.airbyte.api import Airbyte, Answer
from dvd_rental_pipeline.ingestion.airbyte.desired_config import SECRETS, Wanted, wanted_connection
from dvd_rental_pipeline.ingestion.airbyte.errors import AirbyteError
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation

HIDDEN = "********"
_STREAMS = "configurations.streams"
# What a stream does not say of itself, Airbyte takes from the source.
_OF_THE_SOURCE = {"namespace", "cursorField", "primaryKey"}


class Part(StrEnum):
    """What a connection is made of."""

    SOURCE = "source"
    DESTINATION = "destination"
    CONNECTION = "connection"


@dataclass(frozen=True)
class Difference:
    """One field, by its path, as it is and as it should be; None for what is absent. Never a secret."""

    part: Part
    path: str
    now: str | None
    wanted: str | None

    def __str__(self) -> str:
        return f"{self.part} {self.path}: {self.now or 'absent'}, should be {self.wanted or 'absent'}"


@dataclass(frozen=True)
class Plan:
    """What is there, by its ids, and how it differs. A part without an id is to be created."""

    ids: Mapping[Part, str | None]
    differences: Sequence[Difference]

    @property
    def is_empty(self) -> bool:
        return not self.differences

    def of(self, part: Part) -> Sequence[Difference]:
        return [difference for difference in self.differences if difference.part is part]


def make_plan(airbyte: Airbyte, wanted: Wanted, connection_id: str | None) -> Plan:
    """Compare. Without a `connection_id` the three are found by their names.

    Raises:
        AirbyteError: Airbyte cannot be asked, or several things have the same name.
    """
    now = _present(airbyte, wanted, connection_id)
    should = {
        Part.SOURCE: {"name": wanted.source_name, "configuration": wanted.source},
        Part.DESTINATION: {"name": wanted.destination_name, "configuration": wanted.destination},
        Part.CONNECTION: wanted.connection,
    }
    differences = [
        difference
        for part in Part
        for difference in _compare(part, _comparable(now[part] or {}), _comparable(should[part]))
    ]
    ids = {part: str(found[f"{part}Id"]) if (found := now[part]) else None for part in Part}
    connection = now[Part.CONNECTION]
    if connection is not None:
        for part in (Part.SOURCE, Part.DESTINATION):
            if ids[part] != connection[f"{part}Id"]:
                # A connection keeps its ends for life.
                raise AirbyteError(
                    f'The connection "{connection["name"]}" has another {part} than "{should[part]["name"]}". '
                    "Delete or rename it in Airbyte, or name the connection to use in "
                    "DVD_RENTAL_AIRBYTE_CONNECTION_ID."
                )
    return Plan(ids, differences)


def connection_drift(connection: Answer, domain: Domain) -> Sequence[Deviation]:
    """How `connection` deviates from the catalogue: streams, keys, schedule, schema policy.

    Needs no setting of the source or the destination, so that a run in production can ask, too.
    """
    now, should = _comparable(connection), _comparable(wanted_connection(domain))
    streams = (now.get("configurations") or {}).get("streams") or {}
    absent = [table.name for table in domain.tables if table.name not in streams]
    deviations = [Deviation(table, "the connection does not sync it", True) for table in absent]
    for difference in _compare(Part.CONNECTION, now, should):
        told = f"{difference.path} is {difference.now or 'absent'}, should be {difference.wanted or 'absent'}"
        stream, _, field = difference.path.removeprefix(_STREAMS).removeprefix(".").partition(".")
        if not difference.path.startswith(_STREAMS) or not field:
            deviations.append(Deviation(None, f"in the connection {told}", False))
        elif stream not in absent and (difference.now or field not in _OF_THE_SOURCE):
            is_fault = field in {"syncMode", "primaryKey"}
            deviations.append(Deviation(stream, f"in the connection {told}", is_fault))
    return deviations


def apply(airbyte: Airbyte, wanted: Wanted, plan: Plan, *, send_secrets: bool = False) -> str:
    """Create or change what the plan says, and return the id of the connection.

    With `send_secrets` source and destination are written even when no difference shows, as after a password
    was changed.

    Raises:
        AirbyteError: Airbyte refuses; what was done before stays, and another plan goes on from there.
    """
    source_id, destination_id = plan.ids[Part.SOURCE], plan.ids[Part.DESTINATION]
    if source_id is None:
        source_id = str(airbyte.create_source(wanted.source_name, wanted.source)["sourceId"])
    elif send_secrets or plan.of(Part.SOURCE):
        airbyte.replace_source(source_id, wanted.source_name, wanted.source)
    if destination_id is None:
        created = airbyte.create_destination(wanted.destination_name, wanted.destination)
        destination_id = str(created["destinationId"])
    elif send_secrets or plan.of(Part.DESTINATION):
        airbyte.replace_destination(destination_id, wanted.destination_name, wanted.destination)
    connection_id = plan.ids[Part.CONNECTION]
    if connection_id is None:
        created = airbyte.create_connection(source_id, destination_id, wanted.connection)
        return str(created["connectionId"])
    if plan.of(Part.CONNECTION):
        airbyte.change_connection(connection_id, wanted.connection)
    return connection_id


def _present(airbyte: Airbyte, wanted: Wanted, connection_id: str | None) -> Mapping[Part, Answer | None]:
    if connection_id is not None:
        connection = airbyte.connection(connection_id)
        return {
            Part.SOURCE: airbyte.source(connection["sourceId"]),
            Part.DESTINATION: airbyte.destination(connection["destinationId"]),
            Part.CONNECTION: connection,
        }
    return {
        Part.SOURCE: _named(airbyte.sources(), wanted.source_name, Part.SOURCE),
        Part.DESTINATION: _named(airbyte.destinations(), wanted.destination_name, Part.DESTINATION),
        Part.CONNECTION: _named(airbyte.connections(), wanted.connection["name"], Part.CONNECTION),
    }


def _named(among: Sequence[Answer], name: str, part: Part) -> Answer | None:
    found = [one for one in among if one["name"] == name]
    if len(found) > 1:
        raise AirbyteError(
            f'There are {len(found)} things called "{name}" among the {part}s in Airbyte: delete or rename all '
            "but one, or name the connection to use in DVD_RENTAL_AIRBYTE_CONNECTION_ID."
        )
    return found[0] if found else None


def _comparable(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, with streams by their name, since their order means nothing."""
    streams = (fields.get("configurations") or {}).get("streams")
    if streams is None:
        return fields
    return {**fields, "configurations": {"streams": {stream["name"]: stream for stream in streams}}}


def _compare(part: Part, now: Any, wanted: Any, path: str = "") -> list[Difference]:
    if isinstance(wanted, Mapping):
        inside = now if isinstance(now, Mapping) else {}
        found = [
            difference
            for name, value in wanted.items()
            for difference in _compare(part, inside.get(name), value, f"{path}.{name}".lstrip("."))
        ]
        if path == _STREAMS:
            found += [
                Difference(part, f"{path}.{name}", "synced", None) for name in inside if name not in wanted
            ]
        return found
    field = path.rpartition(".")[2]
    if field in SECRETS:
        # Shown as a mask where there is one.
        return [] if now else [Difference(part, path, None, HIDDEN)]
    if now == wanted or (wanted == "" and now is None):
        return []
    return [Difference(part, path, None if now is None else _shown(now), _shown(wanted))]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(inner) for inner in value)
    return str(value)
