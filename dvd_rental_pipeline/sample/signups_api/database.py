"""The database of new users on the embedded server, which the signups pipeline fills from the API."""

from collections.abc import Callable

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.required_tables import RequiredTables
from dvd_rental_pipeline.sample.sample_database import SampleDatabase

_TABLES = RequiredTables("signups", {"users": ("user_uuid",)}, schema="signups")


def _refuse(_url: str, _on_progress: Callable[[str], None]) -> None:
    raise SourceError(
        "No new user was ever loaded from the API: the database signups has no tables. Load them first: "
        "`dvd-rental run --select 'tag:domain=signups'`."
    )


SIGNUPS_DATABASE = SampleDatabase("signups", _TABLES, _refuse)
