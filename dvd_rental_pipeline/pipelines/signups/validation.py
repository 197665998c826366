"""Which records of a batch are loaded: those that meet `user.schema.json`, as rows of PostgreSQL.

A rejected record is described without any of its values, which may be personal.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

USER_SCHEMA: dict[str, Any] = json.loads(
    files("dvd_rental_pipeline.pipelines.signups").joinpath("user.schema.json").read_text(encoding="utf-8")
)
_VALIDATOR = Draft202012Validator(USER_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


@dataclass(frozen=True)
class User:
    """A valid user. Password, salt and hashes have no place here, nor has what drifts with the date."""

    user_uuid: UUID
    gender: str
    title: str
    first_name: str
    last_name: str
    email: str
    username: str
    date_of_birth: date
    registered_at: datetime
    phone: str
    cell: str
    nationality: str
    street_number: int
    street_name: str
    city: str
    state: str
    country: str
    postcode: str
    latitude: Decimal
    longitude: Decimal


@dataclass(frozen=True)
class Rejection:
    """An invalid record: its position in the batch from 0, the path of what is wrong, and why."""

    position: int
    path: str
    reason: str


def validate(records: Sequence[Any]) -> tuple[list[User], list[Rejection]]:
    """Split a batch into valid users and rejections. Of a user given twice, the last record counts."""
    users: dict[UUID, User] = {}
    rejections = []
    for position, record in enumerate(records):
        problem = _find_problem(record)
        if problem is None:
            user = _as_user(record)
            users[user.user_uuid] = user
        else:
            rejections.append(Rejection(position, *problem))
    return list(users.values()), rejections


def _find_problem(record: Any) -> tuple[str, str] | None:
    """The path and the reason for which `record` is invalid."""
    error = next(_VALIDATOR.iter_errors(record), None)
    if error is not None:
        return error.json_path, _reason(error)
    for path in ("dob", "registered"):
        # RFC 3339 has leap seconds, which Python and PostgreSQL do not keep.
        try:
            datetime.fromisoformat(record[path]["date"])
        except ValueError:
            return f"$.{path}.date", "is not a moment that PostgreSQL can store"
    user = _as_user(record)
    if not all(_is_storable(value) for value in vars(user).values() if isinstance(value, str)):
        return "$", "has text that PostgreSQL cannot store: a zero character, or half of a surrogate pair"
    return None


def _reason(error: ValidationError) -> str:
    """The reason in the words of the schema alone."""
    required = error.validator_value
    if error.validator == "required" and isinstance(required, list) and isinstance(error.instance, dict):
        missing = [name for name in required if name not in error.instance]
        return f"lacks {', '.join(missing)}"
    return f"does not meet {error.validator}: {json.dumps(error.validator_value)}"


def _is_storable(text: str) -> bool:
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def _as_user(record: Any) -> User:
    name, location, login = record["name"], record["location"], record["login"]
    return User(
        user_uuid=UUID(login["uuid"]),
        gender=record["gender"],
        title=name["title"],
        first_name=name["first"],
        last_name=name["last"],
        email=record["email"],
        username=login["username"],
        date_of_birth=datetime.fromisoformat(record["dob"]["date"]).date(),
        registered_at=datetime.fromisoformat(record["registered"]["date"]),
        phone=record["phone"],
        cell=record["cell"],
        nationality=record["nat"],
        street_number=int(location["street"]["number"]),
        street_name=location["street"]["name"],
        city=location["city"],
        state=location["state"],
        country=location["country"],
        postcode=str(location["postcode"]),
        latitude=Decimal(location["coordinates"]["latitude"]),
        longitude=Decimal(location["coordinates"]["longitude"]),
    )
