"""The environment, read once and validated. No other module reads environment variables.

Every variable is `DVD_RENTAL_` plus a field name below, from the process environment or from `.env` at the
top of the project (the environment wins).
"""

import difflib
import io
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dvd_rental_pipeline.errors import PipelineError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt"
ENV_PREFIX = "DVD_RENTAL_"
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
    git_branch: str | None = Field(
        None, validation_alias="DAGSTER_CLOUD_GIT_BRANCH", description="Dagster+ tells it in branch deployments"
    )

    dagster_home: Path | None = Field(
        None, validation_alias="DAGSTER_HOME", description="Dagster's own setting: folder of its instance"
    )
    dump: Path | None = Field(None, description="the real dvdrental.tar, for the tests that compare with it")

    @field_validator("deployment", mode="before")
    @classmethod
    def _known_deployment(cls, value: Any) -> Any:
        known = [deployment.value for deployment in Deployment]
        if value not in known:
            raise ValueError(f"{value!r} is not a deployment; choose one of {', '.join(known)}")
        return value

    @classmethod
    def load(cls, env_file: Path = PROJECT_ROOT / ".env") -> Self:
        """Read the environment and `env_file`.

        Raises:
            SettingsError: a variable is misspelt or its value is not valid, or `env_file` cannot be read.
        """
        _refuse_unknown_variables(env_file)
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
        if self.source_url is not None:
            os.environ[f"{ENV_PREFIX}SOURCE_URL"] = self.source_url.get_secret_value()
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


def _refuse_unknown_variables(env_file: Path) -> None:
    """A misspelt variable would otherwise be ignored in silence."""
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
    from_file = [line.key for line in bindings if line.key]
    known = {
        f"{ENV_PREFIX}{name.upper()}"
        for name, field in Settings.model_fields.items()
        if not field.validation_alias
    }
    for name in sorted({*os.environ, *from_file}):
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
            raise SettingsError(f"Unknown setting {name}: {hint}")
