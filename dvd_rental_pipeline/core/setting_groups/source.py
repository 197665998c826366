"""Settings of the source database."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, Field, SecretStr


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not the name of a time zone, such as Europe/Berlin") from error


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""The name of a time zone in the IANA database."""


class SourceSettings(BaseModel):
    """The PostgreSQL to replicate from."""

    source_url: SecretStr | None = Field(
        None, description="an external PostgreSQL to replicate from; unset means the embedded one"
    )
    source_port: int | None = Field(
        None, ge=1024, le=65535, description="TCP port of the embedded PostgreSQL; unset means a free one"
    )
    replication_slot: str = Field(
        "dvd_rental",
        pattern=r"^[a-z0-9_]{1,63}$",
        description="name of the replication slot and publication; each warehouse needs its own",
    )
    time_zone: TimeZone = Field(
        "UTC",
        description="zone of the chain's clock, such as Europe/Berlin: times with a zone are converted to it",
    )
    source_admin_url: SecretStr | None = Field(
        None, description="the source as its owner or administrator, for `dvd-rental source setup`"
    )
