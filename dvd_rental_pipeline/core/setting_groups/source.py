"""Settings of the source database."""

from pydantic import BaseModel, Field, SecretStr


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
    source_admin_url: SecretStr | None = Field(
        None, description="the source as its owner or administrator, for `dvd-rental source setup`"
    )
