"""A place where others drop files: a folder, or a prefix of an S3 bucket. It is only read."""

import io
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.core.errors import PipelineError

SETTLE_SECONDS = 10.0
"""A file of a folder without a marker counts as complete once it has not changed for this long."""
DONE = ".done"
"""A marker: an empty file with the name of the complete file and this suffix."""


class DropZoneError(PipelineError):
    """The place cannot be read."""


@dataclass(frozen=True)
class DroppedFile:
    """A file that was dropped.

    `version` changes whenever the content may have changed. `is_complete` is false while it may still be
    written.
    """

    name: str
    size: int
    version: str
    is_complete: bool


class DropZone(ABC):
    """Files in one place, without subfolders.

    Every method raises `DropZoneError` if the place cannot be read.
    """

    @abstractmethod
    def files(self) -> Sequence[DroppedFile]:
        """All files but markers and hidden ones, sorted by name; none if the place does not exist."""

    @abstractmethod
    def open(self, name: str) -> Any:
        """A context manager of the content as a binary stream, read in pieces."""

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if it does not exist."""
        if name not in {file.name for file in self.files()}:
            return None
        with self.open(name) as stream:
            content: bytes = stream.read()
        return content


@dataclass(frozen=True)
class DropFolder(DropZone):
    """A folder. Links are no files: whoever may drop one could have any file of this machine published."""

    folder: Path
    clock: Callable[[], float] = time.time

    def files(self) -> Sequence[DroppedFile]:
        if not self.folder.exists():
            return []
        try:
            found = {path.name: path.stat() for path in self.folder.iterdir() if _is_file(path)}
        except OSError as error:
            raise DropZoneError(f"Cannot list {self.folder}: {error.strerror}. Fix its permissions.") from None
        settled = self.clock() - SETTLE_SECONDS
        return [
            DroppedFile(
                name,
                stat.st_size,
                f"{stat.st_size}-{stat.st_mtime_ns}",
                f"{name}{DONE}" in found or stat.st_mtime <= settled,
            )
            for name, stat in sorted(found.items())
            if not name.startswith(".") and not name.endswith(DONE)
        ]

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            stream = os.fdopen(os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except OSError as error:
            raise DropZoneError(f"Cannot read {self.folder / name}: {error.strerror}.") from None
        with stream:
            yield stream


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@dataclass(frozen=True)
class DropPrefix(DropZone):
    """The objects of an S3 bucket directly under a prefix; an object appears as a whole."""

    bucket: str
    prefix: str = ""

    def files(self) -> Sequence[DroppedFile]:
        found = []
        try:
            with translate_aws_errors():
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self.bucket, Prefix=self._key(""), Delimiter="/"
                )
                for item in (item for page in pages for item in page.get("Contents", [])):
                    name = item["Key"][len(self._key("")) :]
                    if name and not name.endswith(DONE):
                        found.append(DroppedFile(name, item["Size"], item["ETag"].strip('"'), True))
        except AwsError as error:
            raise self._failure(f"list s3://{self.bucket}/{self.prefix}", error) from None
        return sorted(found, key=lambda file: file.name)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        try:
            with translate_aws_errors():
                body = self._client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"]
                yield cast("BinaryIO", io.BufferedReader(_RawBody(body), 1 << 20))
        except AwsError as error:
            raise self._failure(f"read s3://{self.bucket}/{self._key(name)}", error) from None

    @cached_property
    def _client(self) -> Any:
        return aws_client("s3")

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _failure(self, action: str, error: AwsError) -> DropZoneError:
        return DropZoneError(
            f"Cannot {action}: {error}. Check the name of the bucket and the rights of this role."
        )


class _RawBody(io.RawIOBase):
    """The body of a response as a raw stream, which `BufferedReader` reads in pieces."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece: bytes = self._body.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def open_drop_zone(location: str) -> DropZone:
    """The drop zone at `location`: a folder, or `s3://BUCKET/PREFIX`."""
    if location.startswith("s3://"):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        return DropPrefix(bucket, prefix.strip("/"))
    return DropFolder(Path(location))
