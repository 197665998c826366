"""Find the dump in what a user gives: a file, a folder, an archive of either, compressed or not."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.restore.other_content import MYSQL, NO_DUMP, describe_other_content, is_mysql
from dvd_rental_pipeline.sample.restore.unpack import decompress, is_system_file, unpack

_TOC = "toc.dat"
_ARCHIVE = b"PGDMP"
# The header: magic, three bytes of version, sizes of integers and offsets, format.
_FORMAT_POSITION = 10
_CUSTOM = 1
_TAR_FIRST_MEMBER = b"toc.dat\0"
_PG_DUMP_USER = 0o4000
_SQL_KEYWORDS = (b"create table", b"copy ", b"insert into")
_PG_DUMP_HEADER = b"-- PostgreSQL database dump"
_PLACEHOLDER = b"$$PATH$$"
_INSPECTED_BYTES = 1 << 20
_MAX_NESTING = 4
# Of a folder with several files, only these are opened.
_SUFFIXES = (".tar", ".dump", ".backup", ".pgdump", ".sql", ".zip", ".tgz", ".gz", ".bz2", ".xz")


class Format(Enum):
    """The program that restores a dump."""

    ARCHIVE = auto()  # pg_restore: tar, custom and directory format
    SQL = auto()  # psql


@dataclass(frozen=True)
class Dump:
    """An unpacked dump; `path` is a file, or the folder of a directory-format dump.

    `is_written_by_pg_dump` is whether its content says so.
    """

    path: Path
    format: Format
    is_written_by_pg_dump: bool = True


class _NoDumpError(Exception):
    """There is no dump; the text is the predicate of a sentence about the file."""


@contextmanager
def open_dump(path: Path) -> Iterator[Dump]:
    """Find the dump at `path` by content; unpack archives and compressed files into a temporary folder.

    Besides pg_dump's own files, this accepts a folder or an archive that contains one dump, and a file of an
    unpacked tar or directory dump (`toc.dat`, `restore.sql`) whose data files are beside it.

    Raises:
        SourceError: the file does not exist, cannot be read, is damaged, or is not a dump.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist. Give the path of a dump: .tar, .dump or .sql, zipped or not."
        )
    with TemporaryDirectory(prefix="dvd_rental_dump_") as scratch:
        try:
            dump = _find(path, Path(scratch), _MAX_NESTING)
        except _NoDumpError as error:
            raise SourceError(f"{path} {error}.") from None
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SourceError(f"{path} is damaged or truncated: {error}. Download or copy it again.") from error
        except OSError as error:
            if error.errno is None:  # from gzip and bz2
                message = f"{path} is damaged or truncated: {error}. Download or copy it again."
            else:
                message = f"{path} cannot be read: {error}."
            raise SourceError(message) from error
        yield dump


def _find(path: Path, scratch: Path, nesting: int) -> Dump:
    """The dump at `path`.

    Raises:
        _NoDumpError: there is none, or more than one.
    """
    if path.is_dir():
        return _find_in_folder(path, scratch, nesting)
    with path.open("rb") as file:
        start = file.read(_INSPECTED_BYTES)
    if nesting == 0:
        raise _NoDumpError("is an archive of archives. Unpack it, and give what it contains")
    decompressed = decompress(path, start, scratch)
    if decompressed is not None:
        return _find(decompressed, scratch, nesting - 1)
    if start.startswith(_ARCHIVE):
        return _custom_format(path, start)
    if start.startswith(_TAR_FIRST_MEMBER):
        _require_complete_tar(path)
        if _is_written_by_pg_dump(path):
            return Dump(path, Format.ARCHIVE)
    unpacked = unpack(path, start, scratch)
    if unpacked is not None:
        return _find_in_folder(unpacked, scratch, nesting - 1)
    if b"\0" not in start and any(keyword in start.lower() for keyword in _SQL_KEYWORDS):
        return _sql(path, start)
    raise _NoDumpError(describe_other_content(start))


def _custom_format(path: Path, start: bytes) -> Dump:
    if start[_FORMAT_POSITION : _FORMAT_POSITION + 1] == bytes([_CUSTOM]):
        return Dump(path, Format.ARCHIVE)
    # The table of contents of a directory dump, or of an unpacked tar.
    if not _has_data_files(path.parent):
        raise _NoDumpError(
            "is only the table of contents of a dump: the data are in .dat files that are not beside it. Give "
            "the whole folder, or the tar or zip that it came in"
        )
    return Dump(path.parent, Format.ARCHIVE)


def _sql(path: Path, start: bytes) -> Dump:
    if is_mysql(start):
        raise _NoDumpError(MYSQL)
    if _PLACEHOLDER in start:
        # `restore.sql` of pg_dump's tar format: it reads the other files of the tar.
        if (path.parent / _TOC).is_file():
            return _find_in_folder(path.parent, path.parent, 1)
        raise _NoDumpError(
            "has no data: they are in the .dat files that were beside it. Give the whole folder, or the tar or "
            "zip that it came in"
        )
    return Dump(path, Format.SQL, _PG_DUMP_HEADER in start)


def _find_in_folder(folder: Path, scratch: Path, nesting: int) -> Dump:
    tocs = [toc.parent for pattern in (f"{_TOC}*", f"*/{_TOC}*") for toc in folder.glob(pattern)]
    tocs = [parent for parent in dict.fromkeys(tocs) if not is_system_file(PurePosixPath(parent.name))]
    if len(tocs) == 1:
        if not _has_data_files(tocs[0]):
            raise _NoDumpError(
                f"has a {_TOC}, but not the .dat files with the data. Give the whole folder, or the tar or zip "
                "that it came in"
            )
        return Dump(tocs[0], Format.ARCHIVE)
    files = [
        file
        for pattern in ("*", "*/*")
        for file in sorted(folder.glob(pattern))
        if file.is_file() and not is_system_file(PurePosixPath(file.relative_to(folder)))
    ]
    candidates = files if len(files) == 1 else [file for file in files if file.suffix.lower() in _SUFFIXES]
    found, reasons = _find_each(candidates, scratch, nesting)
    best = _preferred(list(found.values()))
    if len(best) == 1:
        return best[0]
    if best:
        names = ", ".join(file.name for file, dump in found.items() if dump in best)
        raise _NoDumpError(
            f"contains several dumps: {names}. Unpack it, and give one, or all in the order in which they are "
            "to run: the schema first, then the data"
        )
    raise _NoDumpError(reasons[0] if len(reasons) == 1 else NO_DUMP)


def _find_each(files: Sequence[Path], scratch: Path, nesting: int) -> tuple[dict[Path, Dump], list[str]]:
    """The dumps among `files`, and why the others are none."""
    found: dict[Path, Dump] = {}
    reasons = []
    for file in files:
        try:
            found[file] = _find(file, scratch, nesting)
        except _NoDumpError as error:
            reasons.append(str(error))
    return found, reasons


def _preferred(dumps: Sequence[Dump]) -> Sequence[Dump]:
    """The most likely ones: an archive before a script, and pg_dump's scripts before other ones."""
    archives = [dump for dump in dumps if dump.format is Format.ARCHIVE]
    return archives or [dump for dump in dumps if dump.is_written_by_pg_dump] or dumps


def _has_data_files(folder: Path) -> bool:
    return any(not file.name.startswith(_TOC) for file in folder.glob("[!.]*.dat*"))


def _require_complete_tar(path: Path) -> None:
    """Raise `tarfile.ReadError` for a tar without an end marker, on which pg_restore never returns."""
    with tarfile.open(path, "r:") as archive, path.open("rb") as file:
        last = archive.getmembers()[-1]
        file.seek(last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the tar has no end marker")


def _is_written_by_pg_dump(path: Path) -> bool:
    """Whether a tar is pg_dump's own, which pg_restore reads; it needs a fixed order of the members."""
    with tarfile.open(path, "r:") as archive:
        first = archive.next()
        return first is not None and first.uid == _PG_DUMP_USER
