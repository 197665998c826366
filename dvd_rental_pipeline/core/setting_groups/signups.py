"""Settings of the signups pipeline: the API that gives new users, and the database that stores them."""

from pydantic import BaseModel, Field, SecretStr


class SignupsSettings(BaseModel):
    """The API of new users and their PostgreSQL."""

    signups_api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/@]+(/[^@]*)?$",
        description="address of the API of new users; unset means a local server of sample users",
    )
    signups_database_url: SecretStr | None = Field(
        None, description="the PostgreSQL that stores new users; unset means the embedded one"
    )
    signups_airbyte_connection_id: str | None = Field(
        None,
        description="the connection that syncs new users, a UUID; printed by `dvd-rental airbyte apply`",
    )
    signups_batch_size: int = Field(
        20, ge=1, le=5000, description="how many new users a minute are requested from the API"
    )
    signups_nationalities: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}(,[A-Z]{2})*$",
        description="nationalities that are requested, e.g. DE,FR; unset means all",
    )
