"""Records as the API gives them, and settings of the client that do not wait."""

import random
from datetime import UTC, datetime
from typing import Any

from dvd_rental_pipeline.ingestion.http.json_client import Limits
from dvd_rental_pipeline.sample.signups_api.users import build_user

QUICK = Limits(timeout=5, attempts=2, first_delay=0.01, max_delay=0.02)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(seed: int = 1, nationality: str = "DE") -> dict[str, Any]:
    """A valid record, the same for the same seed."""
    return build_user(random.Random(seed), nationality, NOON)


def change(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`record` with `value` at a path such as `login.uuid`."""
    *parents, last = path.split(".")
    target = record
    for name in parents:
        target = target[name]
    target[last] = value
    return record


def without(record: dict[str, Any], path: str) -> dict[str, Any]:
    """`record` without the property at a path such as `login.uuid`."""
    *parents, last = path.split(".")
    target = record
    for name in parents:
        target = target[name]
    del target[last]
    return record
