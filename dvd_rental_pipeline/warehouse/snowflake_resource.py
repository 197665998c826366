"""A Snowflake database as a Dagster resource."""

from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import Field, PrivateAttr, SecretStr

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.warehouse.resource import WarehouseResource
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_stage import ExternalStage, TemporaryStage
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse


class SnowflakeWarehouseResource(WarehouseResource):
    """A Snowflake database, as one user with a key pair.

    The query tag of statements names the deployment and the run. A failed request is repeated until the
    statement has taken `statement_timeout` seconds, or the login `login_timeout`; then the call fails.
    """

    account: str = Field(description="The Snowflake account, <organisation>-<account>")
    user: str = Field(description="The user, who logs in by key pair")
    private_key: str | None = Field(None, repr=False, description="The private key, PEM, or base64 of DER")
    private_key_path: str | None = Field(None, description="Or its file")
    private_key_passphrase: str | None = Field(None, repr=False, description="Passphrase of the key")
    role: str = Field(description="The role that the user takes")
    warehouse: str = Field(description="The virtual warehouse that runs the statements")
    database: str = Field(description="The database of the raw tables and the models")
    host: str | None = Field(None, description="A host other than the account's own")
    port: int = Field(443, description="TCP port of that host")
    protocol: str = Field("https", description="https or http")
    login_timeout: int = Field(description="Seconds until a login counts as failed")
    statement_timeout: int = Field(description="Seconds that a statement may take")
    deployment: str = Field(description="Named in the query tag")
    stage: str | None = Field(
        None, description="S3 URL of the external stage for loads; unset: temporary stages inside of Snowflake"
    )

    _run_id: str | None = PrivateAttr(None)

    @classmethod
    def login_settings(cls) -> tuple[str, ...]:
        """The fields that are settings too, there with the prefix `snowflake_`."""
        return tuple(name for name in cls.model_fields if name not in {"deployment", "stage"})

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The resource that `settings` describe; secrets are references to the environment.

        Raises:
            SettingsError: a setting is missing.
        """
        settings.require_snowflake()
        values: dict[str, Any] = {name: getattr(settings, f"snowflake_{name}") for name in cls.login_settings()}
        for name, value in values.items():
            if isinstance(value, SecretStr):
                # The UI shows a resource's configuration.
                values[name] = dg.EnvVar(f"DVD_RENTAL_SNOWFLAKE_{name.upper()}")
            elif isinstance(value, Path):
                values[name] = str(value)
        stage = ExternalStage.from_settings(settings)
        return cls(deployment=settings.deployment.value, stage=stage.location if stage else None, **values)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run for the query tag."""
        self._run_id = context.run.run_id if context.run else None

    def to_warehouse(self) -> SnowflakeWarehouse:
        login = SnowflakeLogin(
            account=self.account,
            user=self.user,
            key=self.private_key or Path(str(self.private_key_path)),
            passphrase=self.private_key_passphrase,
            role=self.role,
            warehouse=self.warehouse,
            database=self.database,
            host=self.host,
            port=self.port,
            protocol=self.protocol,
            login_timeout=self.login_timeout,
            statement_timeout=self.statement_timeout,
        )
        run = {"run": self._run_id} if self._run_id else {}
        stage = ExternalStage(self.database.upper(), self.stage) if self.stage else TemporaryStage()
        return SnowflakeWarehouse(login, {"deployment": self.deployment, **run}, stage)
