"""Where files are kept: a folder or a bucket, behind one interface."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dvd_rental_pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    import duckdb


class ObjectStoreError(PipelineError):
    """A file cannot be read or written."""


class ObjectExistsError(ObjectStoreError):
    """An object with this key exists, and must not be overwritten."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} exists already, and is never overwritten. Nothing was changed.")


class ObjectStore(ABC):
    """Objects by key, such as `totesys/design/2026/07/01/00000001.parquet`. An object appears as a whole.

    Every method raises `ObjectStoreError` if the store cannot be reached or does not permit the request.
    """

    @abstractmethod
    def put_new(self, key: str, file: Path) -> None:
        """Store a copy of `file`.

        Raises:
            ObjectExistsError: `key` exists; of two concurrent writers, one gets this.
        """

    @abstractmethod
    def replace(self, key: str, file: Path) -> None:
        """Store a copy of `file` under `key`, whether that exists or not."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """The content of `key`."""

    @abstractmethod
    def keys(self, prefix: str) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`; no error if it does not exist."""

    @abstractmethod
    def address(self, key: str) -> str:
        """The path or URL of `key`, which DuckDB reads after `connect`."""

    @abstractmethod
    def connect(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Let `connection` read the addresses of this store."""


def open_store(location: str) -> ObjectStore:
    """The store at `location`, a folder or `s3://BUCKET/PREFIX`."""
    if location.startswith("s3://"):
        from dvd_rental_pipeline.ingestion.files.s3_store import S3Store  # noqa: PLC0415 - boto3 is slow to import

        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return S3Store(bucket, prefix.strip("/"))
    from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore  # noqa: PLC0415 - the other branch

    return FolderStore(Path(location))
