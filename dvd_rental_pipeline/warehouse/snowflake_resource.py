"""The warehouse in production: a Snowflake database."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from dvd_rental_pipeline.warehouse.duckdb_file import Rows
from dvd_rental_pipeline.warehouse.resource import Warehouse
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeLogin, query_snowflake


class SnowflakeWarehouse(Warehouse):
    """A Snowflake database, asked as one user by key pair.

    Statements bear the deployment and the run in their query tag. A request that fails is made again, until the
    statement has taken `statement_timeout` seconds, or the login `login_timeout`; then the question has failed.
    """

    account: str = Field(description="The Snowflake account, <organisation>-<account>")
    user: str = Field(description="The user, who logs in by key pair")
    private_key: str | None = Field(None, repr=False, description="The private key, PEM, or base64 of DER")
    private_key_path: str | None = Field(None, description="Or the file that holds it")
    private_key_passphrase: str | None = Field(None, repr=False, description="Passphrase of the key")
    role: str = Field(description="The role that the user takes")
    warehouse: str = Field(description="The virtual warehouse that computes")
    database: str = Field(description="The database of the raw tables and the models")
    host: str | None = Field(None, description="A host other than the account's own")
    port: int = Field(443, description="TCP port of that host")
    protocol: str = Field("https", description="https or http")
    login_timeout: int = Field(description="Seconds until a login counts as failed")
    statement_timeout: int = Field(description="Seconds that a statement may take")
    deployment: str = Field(description="Named in the query tag")

    _run_id: str | None = PrivateAttr(None)

    @classmethod
    def login_settings(cls) -> tuple[str, ...]:
        """The fields that are settings too, there with `snowflake_` before their names."""
        return tuple(name for name in cls.model_fields if name != "deployment")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the run, for the query tag."""
        self._run_id = context.run.run_id if context.run else None

    def query(self, sql: str) -> Rows:
        tags = {"deployment": self.deployment} | ({"run": self._run_id} if self._run_id else {})
        return query_snowflake(self._login(), sql, tags)

    def writing(self, on_wait: Callable[[str], None]) -> AbstractContextManager[None]:
        """Nothing to hold: a statement of Snowflake's is whole or has not been, and readers never wait.

        That dbt runs once at a time is for the pool of its step, across tasks and machines.
        """
        return nullcontext()

    def _login(self) -> SnowflakeLogin:
        return SnowflakeLogin(
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
