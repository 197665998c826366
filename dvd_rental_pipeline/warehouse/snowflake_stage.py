"""Where a file to load stands while Snowflake copies it: a stage of the session, or one on S3."""

import contextlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_account.design import PROCESSED_STAGE
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession

# A lifecycle rule of the bucket deletes files that a killed load leaves here.
LOADS = "_loads"


class LoadStage(ABC):
    """Holds one file at a time for COPY."""

    @abstractmethod
    def hold(self, session: SnowflakeSession, file: Path, name: str) -> AbstractContextManager[str]:
        """Stage `file` while the context lasts; yields the source for `copy into ... from`.

        `name` is a free name in the database, quoted.

        Raises:
            WarehouseError: the file cannot be staged.
        """


@dataclass(frozen=True)
class TemporaryStage(LoadStage):
    """A stage inside of Snowflake, which ends with the session."""

    @contextmanager
    def hold(self, session: SnowflakeSession, file: Path, name: str) -> Iterator[str]:
        session.execute(f"create temporary stage {name}")
        session.execute(f"put 'file://{file}' @{name} auto_compress = false")
        yield f"@{name}"


@dataclass(frozen=True)
class ExternalStage(LoadStage):
    """The stage of the processed zone in `database`, whose URL is `location`: `s3://BUCKET/PREFIX`."""

    database: str
    location: str

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The stage that `settings` describe; None without a role for Snowflake.

        Raises:
            SettingsError: the processed zone is not on S3.
        """
        if settings.snowflake_storage_role is None:
            return None
        if not settings.processed_location.startswith("s3://"):
            raise SettingsError(
                "DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE is set, and DVD_RENTAL_PROCESSED is not on S3: set that to "
                "s3://BUCKET, or unset the role."
            )
        return cls(settings.snowflake_database.upper(), settings.processed_location)

    @contextmanager
    def hold(self, session: SnowflakeSession, file: Path, name: str) -> Iterator[str]:
        bucket, _, prefix = self.location.removeprefix("s3://").partition("/")
        object_name = f"{secrets.token_hex(16)}.parquet"
        key = "/".join(filter(None, (prefix.strip("/"), LOADS, object_name)))
        client = aws_client("s3")
        try:
            with translate_aws_errors():
                client.upload_file(str(file), bucket, key)
        except AwsError as error:
            raise WarehouseError(f"Cannot stage a file as s3://{bucket}/{key}: {error}") from None
        try:
            yield f"@{self.database}.{PROCESSED_STAGE}/{LOADS}/ files = ('{object_name}')"
        finally:
            # The load has taken effect or failed; what stays is for the lifecycle rule.
            with contextlib.suppress(AwsError), translate_aws_errors():
                client.delete_object(Bucket=bucket, Key=key)
