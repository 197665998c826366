"""Detect the format of a dump, and unpack it from a zip or gzip."""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory

from dvd_rental_pipeline.sample.errors import SourceError

_CUSTOM_FORMAT = b"PGDMP"
_TAR_FIRST_MEMBER = b"toc.dat\0"
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_DUMP_SUFFIXES = (".tar", ".dump", ".backup", ".pgdump", ".sql", ".gz")
_SQL_KEYWORDS = (b"create table", b"copy ", b"insert into")
_INSPECTED_BYTES = 1 << 20


class Format(Enum):
    """The program that restores a dump."""

    ARCHIVE = auto()  # pg_restore: tar, custom and directory format
    SQL = auto()  # psql


@dataclass(frozen=True)
class Dump:
    """An unpacked dump; `path` is a file, or the folder of a directory-format dump."""

    path: Path
    format: Format


@contextmanager
def open_dump(path: Path) -> Iterator[Dump]:
    """Detect the format of the dump at `path` by its content; unpack a zip or gzip into a temporary folder.

    Raises:
        SourceError: the file does not exist, cannot be read, is damaged, or is not a dump.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist. Give the path of a dump: .tar, .dump or .sql, zipped or not."
        )
    with TemporaryDirectory(prefix="dvd_rental_dump_") as scratch:
        try:
            dump = _detect(path, Path(scratch))
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SourceError(f"{path} is damaged or truncated: {error}. Download or copy it again.") from error
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error}.") from error
        if dump is None:
            raise SourceError(
                f"{path} is not a PostgreSQL dump. Supported are pg_dump's tar, custom, directory and plain "
                "SQL formats, also within a zip or gzip."
            )
        yield dump


def _detect(path: Path, scratch: Path) -> Dump | None:
    if path.is_dir():
        return Dump(path, Format.ARCHIVE) if any(path.glob("toc.dat*")) else None
    with path.open("rb") as file:
        start = file.read(_INSPECTED_BYTES)
    if start.startswith((_GZIP, _ZIP)):
        unpacked = _gunzip(path, scratch) if start.startswith(_GZIP) else _unzip(path, scratch)
        return _detect(unpacked, scratch) if unpacked else None
    if start.startswith((_CUSTOM_FORMAT, _TAR_FIRST_MEMBER)):
        if start.startswith(_TAR_FIRST_MEMBER):
            _require_complete_tar(path)
        return Dump(path, Format.ARCHIVE)
    if b"\0" not in start and any(keyword in start.lower() for keyword in _SQL_KEYWORDS):
        return Dump(path, Format.SQL)
    return None


def _require_complete_tar(path: Path) -> None:
    """Raise `tarfile.ReadError` for a tar without an end marker, on which pg_restore never returns."""
    with tarfile.open(path, "r:") as archive, path.open("rb") as file:
        last = archive.getmembers()[-1]
        file.seek(last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the tar has no end marker")


def _gunzip(path: Path, scratch: Path) -> Path:
    unpacked = _unused_path(scratch)
    with gzip.open(path, "rb") as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target)
    return unpacked


def _unzip(path: Path, scratch: Path) -> Path | None:
    """Unpack the first member whose name has a dump's suffix. The member's own name is not used as a path."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename
            if name.lower().endswith(_DUMP_SUFFIXES) and not name.startswith("__MACOSX/"):
                unpacked = _unused_path(scratch)
                with archive.open(member) as source, unpacked.open("wb") as target:
                    shutil.copyfileobj(source, target)
                return unpacked
    return None


def _unused_path(scratch: Path) -> Path:
    return scratch / f"unpacked_{len(list(scratch.iterdir()))}"
