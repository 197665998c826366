"""The settings of a deployment, read once and validated. No other module reads environment variables.

Every variable is `DVD_RENTAL_` plus the name of a field, from the process environment, from `.env` at the top
of the project, or from the store that DVD_RENTAL_SECRETS names; the first that sets it wins.
"""

import difflib
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dvd_rental_pipeline.core.env_file import EnvSyntaxError, parse_env
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.secret_store import read_secrets
from dvd_rental_pipeline.core.setting_groups.absolute_path import AbsolutePath
from dvd_rental_pipeline.core.setting_groups.airbyte import AirbyteSettings
from dvd_rental_pipeline.core.setting_groups.aws import AwsSettings
from dvd_rental_pipeline.core.setting_groups.lake import LakeSettings
from dvd_rental_pipeline.core.setting_groups.postgres_warehouse import PostgresWarehouseSettings
from dvd_rental_pipeline.core.setting_groups.sales import SalesSettings
from dvd_rental_pipeline.core.setting_groups.signups import SignupsSettings
from dvd_rental_pipeline.core.setting_groups.snowflake import SnowflakeSettings
from dvd_rental_pipeline.core.setting_groups.source import SourceSettings

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt"
DEFAULT_HOME = PROJECT_ROOT / ".dvd_rental"
ENV_PREFIX = "DVD_RENTAL_"
# Secrets that resources read from the environment by name, so that Dagster never shows them.
_READ_FROM_ENVIRONMENT = (
    "source_url",
    "totesys_source_url",
    "signups_database_url",
    "warehouse_url",
    "airbyte_client_secret",
    "airbyte_password",
)


class Deployment(StrEnum):
    """Where the graph runs. The graph itself is the same in each."""

    LOCAL = "local"
    BRANCH = "branch"
    PRODUCTION = "production"


class SettingsError(PipelineError):
    """A setting is unknown, malformed or missing."""


class Settings(
    SourceSettings,
    SalesSettings,
    SignupsSettings,
    AirbyteSettings,
    SnowflakeSettings,
    PostgresWarehouseSettings,
    AwsSettings,
    LakeSettings,
    BaseSettings,
):
    """The configuration of a deployment. Build it with `Settings.load()`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    deployment: Deployment = Field(Deployment.LOCAL, description="local, branch or production")
    home: AbsolutePath = Field(DEFAULT_HOME, description="folder of all local state")
    dagster_home: Path | None = Field(
        None, validation_alias="DAGSTER_HOME", description="Dagster's own setting: folder of its instance"
    )
    dagster_url: str | None = Field(None, description="address of the Dagster UI, for links in alerts")
    git_branch: str | None = Field(
        None, validation_alias="DAGSTER_CLOUD_GIT_BRANCH", description="set by Dagster+ in branch deployments"
    )
    code_url: str | None = Field(
        None,
        pattern=r"^https://[^@]+$",
        description="address of the repository, on GitHub or GitLab, for links to the code of assets",
    )
    metric_history: str | None = Field(
        None,
        description="folder, or s3://BUCKET/PREFIX, of the past values from which checks learn bounds; unset "
        "means the run history of Dagster",
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
        """Read the environment, `env_file`, and the store of DVD_RENTAL_SECRETS, if set.

        The variables of the store are added to the environment, where dbt and child processes find them.

        Raises:
            SettingsError: a variable is misspelt or its value is not valid, or `env_file` cannot be read.
            SecretStoreError: the store cannot be read.
            AwsError: the store cannot be read, since AWS is not configured.
        """
        names_in_file = _read_names(env_file)
        _refuse_unknown([*os.environ, *names_in_file])
        location = _SecretsLocation(_env_file=env_file, _env_file_encoding="utf-8").secrets  # type: ignore[call-arg]
        if location:
            stored = read_secrets(location)
            _refuse_unknown(stored)
            for name in stored.keys() - names_in_file:
                os.environ.setdefault(name, stored[name])
        try:
            return cls(_env_file=env_file, _env_file_encoding="utf-8")  # type: ignore[call-arg]
        except ValidationError as error:
            # Without the value itself: it may be a secret.
            problems = "\n".join(
                f"  {_variable(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(
                f"The settings are not valid:\n{problems}\nFix them in the environment or in {env_file}; "
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
    def is_hidden_from_plain_ui(self) -> bool:
        """Whether a plain `dagster dev`, on the project's dagster.yaml, shows the runs of another home."""
        is_local = self.deployment is Deployment.LOCAL
        return is_local and self.dagster_home is None and self.home != DEFAULT_HOME

    @property
    def site_dir(self) -> Path:
        return self.home / "site"

    @property
    def landing_location(self) -> str:
        """The landing zone: a folder or an S3 URL."""
        return self.landing or str(self.home / "lake" / "landing")

    @property
    def processed_location(self) -> str:
        """The processed zone: a folder or an S3 URL."""
        return self.processed or str(self.home / "lake" / "processed")

    @property
    def dbt_target_dir(self) -> Path:
        """One folder per target: the artifacts for one warehouse are of no use with another."""
        return self.home / "dbt" / self.dbt_target

    @property
    def dbt_target(self) -> str:
        """The target of dbt's profile: the deployment, or `postgres` where that is the warehouse."""
        return self.deployment.value if self.warehouse_url is None else "postgres"

    @property
    def sales_landing(self) -> str:
        """The folder or S3 prefix of the sales files."""
        return self.sales_files or str(self.home / "sales_files")

    def unavailable(self, feature: str) -> SettingsError:
        """The error to raise where this deployment needs a feature that does not exist yet."""
        return SettingsError(
            f"DVD_RENTAL_DEPLOYMENT={self.deployment.value}: {feature} is not part of this version. Use the "
            "deployment `local`, or give build_definitions your own resource."
        )

    def require(self, purpose: str, *names: str) -> None:
        """Require the fields `names`, which `purpose` needs.

        Raises:
            SettingsError: some are not set; the message lists them all with their descriptions.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            listing = "\n".join(
                f"  {ENV_PREFIX}{name.upper()}: {type(self).model_fields[name].description}" for name in missing
            )
            raise SettingsError(
                f"DVD_RENTAL_DEPLOYMENT={self.deployment.value}: {purpose} needs settings that are missing:\n"
                f"{listing}\nSet them in the environment or in .env; `.env.example` describes each."
            )

    def require_snowflake(self) -> None:
        """Require what a login to Snowflake needs.

        Raises:
            SettingsError: a setting is missing, or the key is given both as text and as a file.
        """
        key = "snowflake_private_key" if self.snowflake_private_key else "snowflake_private_key_path"
        self.require("Snowflake", "snowflake_account", "snowflake_user", key)
        if self.snowflake_private_key and self.snowflake_private_key_path:
            raise SettingsError(
                "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY and DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH are both set. "
                "Unset one of them."
            )

    def export(self) -> None:
        """Set the environment variables that dbt, child processes and resources read."""
        os.environ[f"{ENV_PREFIX}HOME"] = str(self.home)
        os.environ[f"{ENV_PREFIX}DEPLOYMENT"] = self.deployment.value
        os.environ[f"{ENV_PREFIX}TIME_ZONE"] = self.time_zone
        for name in _READ_FROM_ENVIRONMENT:
            secret = getattr(self, name)
            if secret is not None:
                os.environ[f"{ENV_PREFIX}{name.upper()}"] = secret.get_secret_value()
        self._export_snowflake()
        self.export_postgres_warehouse()
        os.environ["DBT_TARGET_PATH"] = str(self.dbt_target_dir)
        os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        # dbt's default also runs tests of models outside the selection, which may not exist yet.
        os.environ["DBT_INDIRECT_SELECTION"] = "cautious"

    def _export_snowflake(self) -> None:
        """Set the variables that dbt's profile reads."""
        branch = self.snowflake_branch or self.git_branch
        values = {name: getattr(self, name) for name in SnowflakeSettings.model_fields}
        values["snowflake_branch"] = schema_prefix(branch) if branch else None
        for name, value in values.items():
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                os.environ[f"{ENV_PREFIX}{name.upper()}"] = text


def schema_prefix(branch: str) -> str:
    """The prefix of the schemas of a branch, as dbt's macro `generate_schema_name` derives it from the name.

    Raises:
        SettingsError: the name has neither a letter nor a digit.
    """
    prefix = re.sub("[^a-z0-9]+", "_", branch.lower())
    if not prefix.strip("_"):
        raise SettingsError(f"{branch!r} is not a name for a branch: it needs a letter or a digit.")
    # A name that begins with a digit would need quotes.
    return f"branch_{prefix}" if prefix[0].isdigit() else prefix


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable of a pydantic error, which names the field or its alias."""
    name = str(location[0])
    return name if name.isupper() else f"{ENV_PREFIX}{name.upper()}"


class _SecretsLocation(BaseSettings):
    """The one setting that is needed before the others can be read."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore")

    secrets: str | None = None


def _read_names(env_file: Path) -> set[str]:
    try:
        text = env_file.read_text(encoding="utf-8") if env_file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Cannot read {env_file}: {error}. Fix or remove it.") from None
    try:
        return set(parse_env(text))
    except EnvSyntaxError as error:
        raise SettingsError(f"{env_file} is not valid: {error}. Fix or remove it.") from None


def _refuse_unknown(names: Iterable[str]) -> None:
    """Raise `SettingsError` for a misspelt variable, which pydantic would ignore."""
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
