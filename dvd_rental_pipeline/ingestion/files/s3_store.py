"""An S3 bucket as an object store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.ingestion.files.object_store import ObjectExistsError, ObjectStore, ObjectStoreError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class S3Store(ObjectStore):
    """The objects of `bucket` whose keys begin with `prefix`, which is empty or without slashes around it."""

    bucket: str
    prefix: str = ""

    def put_new(self, key: str, file: Path) -> None:
        try:
            # One request of at most 5 GB: S3 rejects it if the key exists, also of two concurrent writers.
            with file.open("rb") as content:
                self._request("put_object", Key=self._key(key), Body=content, IfNoneMatch="*")
        except AwsError as error:
            if error.code in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise ObjectExistsError(self.address(key)) from None
            raise self._failure(f"write {self.address(key)}", error) from None

    def replace(self, key: str, file: Path) -> None:
        try:
            with translate_aws_errors():
                self._client.upload_file(str(file), self.bucket, self._key(key))
        except AwsError as error:
            raise self._failure(f"write {self.address(key)}", error) from None

    def read(self, key: str) -> bytes:
        try:
            content: bytes = self._request("get_object", Key=self._key(key))["Body"].read()
        except AwsError as error:
            raise self._failure(f"read {self.address(key)}", error) from None
        return content

    def keys(self, prefix: str) -> Sequence[str]:
        start = len(self._key(""))
        try:
            with translate_aws_errors():
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self.bucket, Prefix=self._key(prefix)
                )
                return sorted(item["Key"][start:] for page in pages for item in page.get("Contents", []))
        except AwsError as error:
            raise self._failure(f"list {self.address(prefix)}", error) from None

    def delete(self, key: str) -> None:
        try:
            self._request("delete_object", Key=self._key(key))
        except AwsError as error:
            raise self._failure(f"delete {self.address(key)}", error) from None

    def address(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._key(key)}"

    def connect(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Register Arrow's S3 client: DuckDB's own is an extension, which would be downloaded.

        The connection must not outlive the files that it reads.
        """
        from fsspec.implementations.arrow import ArrowFSWrapper  # noqa: PLC0415 - only for S3
        from pyarrow.fs import S3FileSystem  # noqa: PLC0415 - only for S3

        class ArrowS3(ArrowFSWrapper):  # type: ignore[misc]
            protocol = "s3"

            def __init__(self, files: S3FileSystem) -> None:
                super().__init__(files)
                self._infos: dict[str, dict[str, Any]] = {}

            @classmethod
            def _strip_protocol(cls, path: str) -> str:
                return path.removeprefix("s3://").rstrip("/")

            def info(self, path: str, **_: Any) -> dict[str, Any]:
                # DuckDB asks several times while it opens a file; each would be a request.
                if path not in self._infos:
                    self._infos[path] = super().info(path)
                return self._infos[path]

            def modified(self, path: str) -> datetime:
                modified: datetime = self.info(path)["mtime"]
                return modified

        meta = self._client.meta
        endpoint = urlsplit(meta.endpoint_url)
        # AWS's own endpoint is the default; another one comes from AWS_ENDPOINT_URL.
        is_aws = (endpoint.hostname or "").endswith(("amazonaws.com", "amazonaws.com.cn"))
        other = {} if is_aws else {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
        if not connection.filesystem_is_registered("s3"):
            connection.register_filesystem(ArrowS3(S3FileSystem(region=meta.region_name, **other)))

    @cached_property
    def _client(self) -> Any:
        return aws_client("s3")

    def _request(self, operation: str, **arguments: Any) -> Any:
        with translate_aws_errors():
            return getattr(self._client, operation)(Bucket=self.bucket, **arguments)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _failure(self, action: str, error: AwsError) -> ObjectStoreError:
        return ObjectStoreError(
            f"Cannot {action}: {error}. Check the name of the bucket and the rights of this role."
        )
