"""The environment, read once and validated. No other module reads environment variables.

Every variable is `DVD_RENTAL_` plus a field name below, from the process environment, from `.env` at the top of
the project, or from the store that DVD_RENTAL_SECRETS names; the first that has it wins.
"""

import difflib
import io
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.secret_store import read_secrets

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt"
ENV_PREFIX = "DVD_RENTAL_"
# Secrets that resources hold by reference to the environment, which those of an .env file must join for that.
_BY_REFERENCE = ("source_url", "airbyte_client_secret", "airbyte_password")
# Names that need no quotes: they are written into statements.
_SNOWFLAKE_NAME = r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$"


class Deployment(StrEnum):
    """Where the graph runs. The graph itself is the same in each."""

    LOCAL = "local"
    BRANCH = "branch"
    PRODUCTION = "production"


class SettingsError(PipelineError):
    """A setting is unknown, malformed or missing."""


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class Settings(BaseSettings):
    """What a deployment needs to know. Build it with `Settings.load()`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    deployment: Deployment = Field(Deployment.LOCAL, description="local, branch or production")
    home: Annotated[Path, AfterValidator(_absolute)] = Field(
        PROJECT_ROOT / ".dvd_rental", description="folder of all local state"
    )
    source_url: SecretStr | None = Field(
        None, description="an external PostgreSQL to replicate from; unset means the embedded one"
    )
    source_port: int | None = Field(
        None, ge=1024, le=65535, description="TCP port of the embedded PostgreSQL; unset means a free one"
    )
    replication_slot: str = Field(
        "dvd_rental",
        pattern=r"^[a-z0-9_]{1,63}$",
        description="name of the replication slot and publication; one for each warehouse",
    )
    source_admin_url: SecretStr | None = Field(
        None, description="the source as its owner or administrator, for `dvd-rental source setup`"
    )

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
        None, description="the connection that syncs the source, a UUID; `dvd-rental airbyte apply` tells it"
    )
    airbyte_request_timeout: int = Field(60, ge=1, description="seconds until a request counts as failed")
    airbyte_request_max_retries: int = Field(
        30,
        ge=0,
        description="how often a failed request is made again: with the delay, the longest outage",
    )
    airbyte_request_retry_delay: float = Field(10, ge=0, description="seconds between two such attempts")
    airbyte_poll_interval: float = Field(10, gt=0, description="seconds between two looks at a running job")
    airbyte_poll_timeout: float = Field(
        4 * 3600, gt=0, description="seconds after which a run no longer waits for its job, which goes on"
    )
    airbyte_cancel_on_termination: bool = Field(
        False, description="whether a run that is terminated cancels its job in Airbyte"
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

    snowflake_account: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="the Snowflake account, <organisation>-<account>",
    )
    snowflake_user: str | None = Field(
        None, pattern=_SNOWFLAKE_NAME, description="the Snowflake user that transforms, who logs in by key pair"
    )
    snowflake_private_key: SecretStr | None = Field(
        None, description="its private key itself, PEM, or base64 of DER, PKCS 8"
    )
    snowflake_private_key_path: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None, description="or the file that holds the key, PEM"
    )
    snowflake_private_key_passphrase: SecretStr | None = Field(
        None, description="passphrase of that key, if it has one"
    )
    snowflake_role: str = Field("TRANSFORMER", pattern=_SNOWFLAKE_NAME, description="the role it takes")
    snowflake_warehouse: str = Field(
        "TRANSFORMING", pattern=_SNOWFLAKE_NAME, description="the virtual warehouse that computes for it"
    )
    snowflake_database: str = Field(
        "DVD_RENTALS", pattern=_SNOWFLAKE_NAME, description="the database of the raw tables and the models"
    )
    snowflake_branch: str | None = Field(
        None,
        description="what the schemas of a branch deployment begin with; unset: its git branch",
    )
    snowflake_host: str | None = Field(
        None, description="a host other than the account's own, as for PrivateLink"
    )
    snowflake_port: int = Field(443, ge=1, le=65535, description="TCP port of that host")
    snowflake_protocol: str = Field("https", pattern=r"^https?$", description="https, or http to a stand-in")
    snowflake_login_timeout: int = Field(60, ge=1, description="seconds until a login counts as failed")
    snowflake_statement_timeout: int = Field(
        1800, ge=1, description="seconds that a statement may take, with requests that fail and are made again"
    )
    code_url: str | None = Field(
        None,
        pattern=r"^https://[^@]+$",
        description="address of the repository, on GitHub or GitLab, for links to the code of assets",
    )
    git_branch: str | None = Field(
        None, validation_alias="DAGSTER_CLOUD_GIT_BRANCH", description="Dagster+ tells it in branch deployments"
    )

    dagster_home: Path | None = Field(
        None, validation_alias="DAGSTER_HOME", description="Dagster's own setting: folder of its instance"
    )
    dump: Path | None = Field(None, description="the real dvdrental.tar, for the tests that compare with it")

    # AWS. What is unset stays on this machine, in any deployment.
    secrets: str | None = Field(
        None, description="where more settings stand: secretsmanager://NAME or s3://BUCKET/KEY"
    )
    site_bucket: str | None = Field(None, description="S3 bucket of the pages; unset means a folder under home")
    site_url: str | None = Field(None, description="address under which browsers see the bucket of the pages")
    alerts_topic: str | None = Field(
        None, pattern=r"^arn:aws[a-z-]*:sns:", description="ARN of the SNS topic of alerts; unset means the log"
    )
    log_group: str | None = Field(
        None, description="CloudWatch log group of runs; unset means lines of JSON on stderr"
    )
    dagster_url: str | None = Field(None, description="address of the Dagster UI, for links in alerts")

    @field_validator("deployment", mode="before")
    @classmethod
    def _known_deployment(cls, value: Any) -> Any:
        known = [deployment.value for deployment in Deployment]
        if value not in known:
            raise ValueError(f"{value!r} is not a deployment; choose one of {', '.join(known)}")
        return value

    @classmethod
    def load(cls, env_file: Path = PROJECT_ROOT / ".env") -> Self:
        """Read the environment, `env_file`, and the store that they name, if any.

        What the store holds goes into the process environment, where dbt and child processes look for it.

        Raises:
            SettingsError: a variable is misspelt or its value is not valid, or `env_file` cannot be read.
            SecretStoreError: the store cannot be read.
        """
        in_file = _names_in(env_file)
        _refuse_unknown([*os.environ, *in_file])
        location = _SecretsLocation(_env_file=env_file, _env_file_encoding="utf-8").secrets  # type: ignore[call-arg]
        if location:
            stored = read_secrets(location)
            _refuse_unknown(stored)
            for name in set(stored) - set(in_file):
                os.environ.setdefault(name, stored[name])
        try:
            return cls(_env_file=env_file, _env_file_encoding="utf-8")  # type: ignore[call-arg]
        except ValidationError as error:
            # The value itself is left out: it may be a secret.
            problems = "\n".join(
                f"  {_variable(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(
                f"The settings are not valid:\n{problems}\nMend them in the environment or in {env_file}; "
                "`.env.example` describes each."
            ) from None

    @property
    def postgres_dir(self) -> Path:
        return self.home / "postgres"

    @property
    def warehouse_path(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def dagster_dir(self) -> Path:
        return self.home / "dagster"

    @property
    def site_dir(self) -> Path:
        return self.home / "site"

    @property
    def dbt_target_dir(self) -> Path:
        """One for each deployment: what is made for one warehouse is of no use with another."""
        return self.home / "dbt" / self.deployment.value

    def unavailable(self, what: str) -> SettingsError:
        """The error that says that `what`, which this deployment needs, does not exist yet."""
        return SettingsError(
            f"DVD_RENTAL_DEPLOYMENT={self.deployment.value}: {what} is not part of this version. Use the "
            "deployment `local`, or give build_definitions your own resource."
        )

    def require(self, purpose: str, *names: str) -> None:
        """Insist on settings that `purpose` needs, all at once.

        Raises:
            SettingsError: some are not set; each is named with what it is.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            told = "\n".join(
                f"  {ENV_PREFIX}{name.upper()}: {type(self).model_fields[name].description}" for name in missing
            )
            raise SettingsError(
                f"DVD_RENTAL_DEPLOYMENT={self.deployment.value}: {purpose} needs settings that are missing:\n"
                f"{told}\nSet them in the environment or in .env; `.env.example` describes each."
            )

    @property
    def airbyte_has_basic_auth(self) -> bool:
        """Whether Airbyte knows us by a user and a password instead of an application."""
        return self.airbyte_client_id is None and (
            self.airbyte_username is not None or self.airbyte_password is not None
        )

    @property
    def airbyte_credentials(self) -> tuple[str, ...]:
        """Names of the settings that together are the credentials for Airbyte."""
        if self.airbyte_has_basic_auth:
            return ("airbyte_url", "airbyte_username", "airbyte_password")
        return ("airbyte_client_id", "airbyte_client_secret")

    def require_snowflake(self) -> None:
        """Insist on what a login to Snowflake needs.

        Raises:
            SettingsError: some is not set, or the key is given twice.
        """
        key = "snowflake_private_key" if self.snowflake_private_key else "snowflake_private_key_path"
        self.require("Snowflake", "snowflake_account", "snowflake_user", key)
        if self.snowflake_private_key and self.snowflake_private_key_path:
            raise SettingsError(
                "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY and DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH are both set: "
                "which key is meant? Unset one of them."
            )

    def export(self) -> None:
        """Put into the process environment what dbt, child processes and resources by reference read."""
        os.environ[f"{ENV_PREFIX}HOME"] = str(self.home)
        os.environ[f"{ENV_PREFIX}DEPLOYMENT"] = self.deployment.value
        for name in _BY_REFERENCE:
            secret = getattr(self, name)
            if secret is not None:
                os.environ[f"{ENV_PREFIX}{name.upper()}"] = secret.get_secret_value()
        self._export_snowflake()
        os.environ["DBT_TARGET_PATH"] = str(self.dbt_target_dir)
        os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        # The default also runs tests of models that a selection leaves out, and that may not exist yet.
        os.environ["DBT_INDIRECT_SELECTION"] = "cautious"

    def _export_snowflake(self) -> None:
        """What dbt's profile reads."""
        named = self.snowflake_branch or self.git_branch
        branch = schema_prefix(named) if named else None
        given = {name: getattr(self, name) for name in type(self).model_fields if name.startswith("snowflake_")}
        for name, value in {**given, "snowflake_branch": branch}.items():
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                os.environ[f"{ENV_PREFIX}{name.upper()}"] = text


def schema_prefix(branch: str) -> str:
    """What the schemas of a branch begin with, as dbt's macro `generate_schema_name` makes it of its name.

    Raises:
        SettingsError: nothing is left of it.
    """
    prefix = re.sub("[^a-z0-9]+", "_", branch.lower())
    if not prefix.strip("_"):
        raise SettingsError(f"{branch!r} is no name of a branch: it needs a letter or a digit.")
    # A name that begins with a digit would need quotes.
    return f"branch_{prefix}" if prefix[0].isdigit() else prefix


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable that pydantic complains of by the name of its field, or by its alias."""
    name = str(location[0])
    return name if name.isupper() else f"{ENV_PREFIX}{name.upper()}"


class _SecretsLocation(BaseSettings):
    """The one setting that must be known before the others can be read."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore")

    secrets: str | None = None


def _names_in(env_file: Path) -> list[str]:
    try:
        text = env_file.read_text(encoding="utf-8") if env_file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read {env_file}: {error}. Mend it or take it away.") from None
    bindings = list(parse_stream(io.StringIO(text)))
    malformed = [
        str(line.original.line) for line in bindings if line.error or (line.key and line.value is None)
    ]
    if malformed:
        raise SettingsError(
            f"{env_file} is not valid: line {', '.join(malformed)} is not NAME=value. Mend or remove it."
        )
    return [line.key for line in bindings if line.key]


def _refuse_unknown(names: Iterable[str]) -> None:
    """A misspelt variable would otherwise be ignored in silence."""
    known = {
        f"{ENV_PREFIX}{name.upper()}"
        for name, field in Settings.model_fields.items()
        if not field.validation_alias
    }
    for name in sorted(set(names)):
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
            raise SettingsError(f"Unknown setting {name}: {hint}")
