"""Settings of Airbyte: how to reach it, how long to wait for it, and what it connects."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


class AirbyteSettings(BaseModel):
    """The Airbyte that replicates in production."""

    airbyte_url: str | None = Field(
        None,
        pattern=r"^https?://[^/@]+(/[^@]*)?$",
        description="a self-managed Airbyte, e.g. https://airbyte.example.com; unset means Airbyte Cloud",
    )
    airbyte_workspace_id: str | None = Field(None, description="the Airbyte workspace, a UUID")
    airbyte_client_id: str | None = Field(None, description="id of an Airbyte application")
    airbyte_client_secret: SecretStr | None = Field(None, description="secret of that application")
    airbyte_username: str | None = Field(None, description="user of a self-managed Airbyte with basic auth")
    airbyte_password: SecretStr | None = Field(None, description="password of that user")
    airbyte_connection_id: str | None = Field(
        None, description="the connection that syncs the source, a UUID; printed by `dvd-rental airbyte apply`"
    )
    airbyte_request_timeout: int = Field(60, ge=1, description="seconds until a request counts as failed")
    airbyte_request_max_retries: int = Field(
        30,
        ge=0,
        description="how often a failed request is retried; times the delay, the longest outage tolerated",
    )
    airbyte_request_retry_delay: float = Field(10, ge=0, description="seconds between two such attempts")
    airbyte_poll_interval: float = Field(10, gt=0, description="seconds between two polls of a running job")
    airbyte_poll_timeout: float = Field(
        4 * 3600, gt=0, description="seconds after which a run stops waiting for its job, which continues"
    )
    airbyte_cancel_on_termination: bool = Field(
        False, description="whether terminating a run cancels its job in Airbyte"
    )
    airbyte_initial_waiting_seconds: int = Field(
        300, ge=120, le=2400, description="how long Airbyte waits for the first change of a sync"
    )
    airbyte_ssh_tunnel: SecretStr | None = Field(
        None, description="jump host to the source, ssh://user@host:22, or ssh://user:password@host:22"
    )
    airbyte_ssh_key_path: Path | None = Field(None, description="private key file for that jump host")
    airbyte_destination_host: str | None = Field(
        None, description="the Snowflake account that Airbyte loads, e.g. org-account.snowflakecomputing.com"
    )
    airbyte_destination_database: str = Field("DVD_RENTALS", description="the Snowflake database it loads")
    airbyte_destination_warehouse: str = Field("LOADING", description="the Snowflake warehouse it loads with")
    airbyte_destination_role: str = Field("LOADER", description="the Snowflake role it loads as")
    airbyte_destination_username: str = Field("AIRBYTE", description="the Snowflake user it loads as")
    airbyte_destination_key_path: Path | None = Field(
        None, description="private key file of that user, PEM, PKCS #8"
    )
    airbyte_destination_key_passphrase: SecretStr | None = Field(None, description="passphrase of that key")

    @property
    def airbyte_has_basic_auth(self) -> bool:
        """Whether we log in to Airbyte with a user and a password instead of an application."""
        return self.airbyte_client_id is None and (
            self.airbyte_username is not None or self.airbyte_password is not None
        )

    @property
    def airbyte_credentials(self) -> tuple[str, ...]:
        """Names of the settings that together are the credentials for Airbyte."""
        if self.airbyte_has_basic_auth:
            return ("airbyte_url", "airbyte_username", "airbyte_password")
        return ("airbyte_client_id", "airbyte_client_secret")
