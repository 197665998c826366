"""Recognising a dump: what kind of file it is, and unwrapping it from its zip or gzip."""

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
_SQL_WORDS = (b"create table", b"copy ", b"insert into")
_LOOK_AT_BYTES = 1 << 20


class Format(Enum):
    """How a dump is restored."""

    ARCHIVE = auto()  # pg_restore: tar, custom and directory format
    SQL = auto()  # psql


@dataclass(frozen=True)
class Dump:
    """A dump that is ready to be restored; `path` is a file, or the folder of a directory-format dump."""

    path: Path
    format: Format


@contextmanager
def opened(path: Path) -> Iterator[Dump]:
    """Recognise the dump at `path` by its content; a wrapped one is unpacked into a temporary folder meanwhile.

    Raises:
        SourceError: there is no such file, it cannot be read, it is damaged, or it is not a dump.
    """
    if not path.exists():
        raise SourceError(f"There is no {path}. Give the path of a dump: .tar, .dump or .sql, zipped or not.")
    with TemporaryDirectory(prefix="dvd_rental_dump_") as scratch:
        try:
            dump = _recognise(path, Path(scratch))
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SourceError(
                f"{path} is damaged or was cut short: {error}. Fetch or copy it again."
            ) from error
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error}.") from error
        if dump is None:
            raise SourceError(
                f"{path} is not a PostgreSQL dump. Known are pg_dump's tar, custom, directory and plain SQL "
                "formats, also within a zip or gzip."
            )
        yield dump


def _recognise(path: Path, scratch: Path) -> Dump | None:
    if path.is_dir():
        return Dump(path, Format.ARCHIVE) if any(path.glob("toc.dat*")) else None
    with path.open("rb") as file:
        start = file.read(_LOOK_AT_BYTES)
    if start.startswith((_GZIP, _ZIP)):
        unpacked = _gunzip(path, scratch) if start.startswith(_GZIP) else _unzip(path, scratch)
        return _recognise(unpacked, scratch) if unpacked else None
    if start.startswith((_CUSTOM_FORMAT, _TAR_FIRST_MEMBER)):
        if start.startswith(_TAR_FIRST_MEMBER):
            _require_whole_tar(path)
        return Dump(path, Format.ARCHIVE)
    if b"\0" not in start and any(word in start.lower() for word in _SQL_WORDS):
        return Dump(path, Format.SQL)
    return None


def _require_whole_tar(path: Path) -> None:
    """pg_restore waits for ever at the end of a tar that lacks its own end."""
    with tarfile.open(path, "r:") as archive, path.open("rb") as file:
        last = archive.getmembers()[-1]
        file.seek(last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the tar has no end")


def _gunzip(path: Path, scratch: Path) -> Path:
    unpacked = _fresh_name(scratch)
    with gzip.open(path, "rb") as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target)
    return unpacked


def _unzip(path: Path, scratch: Path) -> Path | None:
    """The first member that looks like a dump by its name. It gets a name of our own, whatever its own says."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename
            if name.lower().endswith(_DUMP_SUFFIXES) and not name.startswith("__MACOSX/"):
                unpacked = _fresh_name(scratch)
                with archive.open(member) as source, unpacked.open("wb") as target:
                    shutil.copyfileobj(source, target)
                return unpacked
    return None


def _fresh_name(scratch: Path) -> Path:
    return scratch / f"unpacked_{len(list(scratch.iterdir()))}"
