"""Unpack compressed files and archives into a temporary folder."""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from dvd_rental_pipeline.sample.errors import SourceError

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_ZIP = b"PK\x03\x04"
_ENCRYPTED = 0x1
_BLOCK = 16 << 20
# Bytes that are left on the disk: a small archive may unpack to any size.
_KEPT_FREE = 1 << 30
# Written by macOS and Windows beside the files of a folder.
_SYSTEM_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


def decompress(path: Path, start: bytes, scratch: Path) -> Path | None:
    """Decompress a file that starts with `start`; None if it is neither gzip, bzip2 nor xz.

    Raises:
        SourceError: the disk is too small for it.
        OSError, EOFError, zlib.error, lzma.LZMAError: the file is damaged or unreadable.
    """
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        return None
    # The suffix names the compression: `dvdrental.tar` is left, which messages show.
    unpacked = _new_folder(scratch) / (path.stem or "unpacked")
    with opener(path) as source:
        _copy(source, unpacked)
    return unpacked


def unpack(path: Path, start: bytes, scratch: Path) -> Path | None:
    """Unpack a zip or a tar, and return the folder of its files; None if it is neither.

    Links and special files are left out, as are the shadow files of macOS; no file is written outside of the
    folder.

    Raises:
        SourceError: a zip is encrypted, or the disk is too small for it.
        OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error: the file is damaged or unreadable.
    """
    if start.startswith(_ZIP):
        return _write_members(_zip_members(path), scratch)
    if tarfile.is_tarfile(path):
        return _write_members(_tar_members(path), scratch)
    return None


def is_system_file(path: PurePosixPath) -> bool:
    """Whether an operating system wrote the file beside the user's own."""
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name in _SYSTEM_FILES


def _zip_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & _ENCRYPTED:
                raise SourceError(f"{path} is protected by a password. Unpack it, and give what it contains.")
            with archive.open(member) as source:
                yield member.filename, source


def _tar_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isfile() else None
            if source is not None:
                yield member.name, source


def _write_members(members: Iterator[tuple[str, IO[bytes]]], scratch: Path) -> Path:
    folder = _new_folder(scratch)
    for name, source in members:
        relative = PurePosixPath(name.replace("\\", "/"))
        parts = [part for part in relative.parts if part not in ("/", "..")]
        if not parts or is_system_file(relative):
            continue
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)
    return folder


def _copy(source: IO[bytes], target: Path) -> None:
    """Write `source` to `target`, however large it turns out to be, unless the disk would be filled."""
    with target.open("wb") as file:
        while block := source.read(_BLOCK):
            if shutil.disk_usage(target.parent).free < _KEPT_FREE + len(block):
                raise SourceError(
                    f"{target.name} does not fit on the disk: unpacked, it has more than "
                    f"{file.tell() / 1e9:,.1f} GB. Free some space, or set TMPDIR to a larger disk."
                )
            file.write(block)


def _new_folder(scratch: Path) -> Path:
    folder = scratch / f"unpacked_{len(list(scratch.iterdir()))}"
    folder.mkdir()
    return folder
