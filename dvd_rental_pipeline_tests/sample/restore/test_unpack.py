"""Archives that were made to harm: they fill no disk and write nothing outside of their folder."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.restore import unpack
from dvd_rental_pipeline.sample.restore.dump import open_dump

ZEROS = bytes(64 << 20)


class Usage(NamedTuple):
    free: int


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", ZEROS)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w:") as archive:
        member = tarfile.TarInfo("folder/dump.sql")
        member.size = len(ZEROS)
        archive.addfile(member, io.BytesIO(ZEROS))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(_zip, id="zip"),
        pytest.param(_tar, id="tar"),
        pytest.param(lambda path: path.write_bytes(gzip.compress(ZEROS)), id="gzip"),
        pytest.param(lambda path: path.write_bytes(bz2.compress(ZEROS)), id="bzip2", marks=pytest.mark.slow),
        pytest.param(lambda path: path.write_bytes(lzma.compress(ZEROS)), id="xz", marks=pytest.mark.slow),
    ],
)
def test_a_small_archive_of_a_large_file_fills_no_disk(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def disk_usage(folder: Path) -> Usage:
        written.append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
        return Usage(free=(1 << 30) + (40 << 20) - written[-1])

    monkeypatch.setattr(unpack.shutil, "disk_usage", disk_usage)
    archive = tmp_path / "dump.bin"
    write(archive)
    with pytest.raises(SourceError, match="does not fit on the disk"), open_dump(archive):
        pass
    assert max(written) < len(ZEROS)


@pytest.mark.parametrize("name", ["../escaped.sql", "/escaped.sql", "a/../../escaped.sql", "..\\escaped.sql"])
def test_no_member_is_written_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch" / "inner"
    scratch.mkdir(parents=True)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr(name, "select 1;")
    folder = unpack.unpack(archive, archive.read_bytes()[:4], scratch)
    assert folder is not None
    assert [file for file in tmp_path.rglob("escaped.sql") if folder not in file.parents] == []
    assert not Path("/escaped.sql").exists()


def test_links_in_a_tar_are_left_out(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w:") as target:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"dump_{kind.decode()}.sql")
            link.type, link.linkname = kind, "/etc/passwd"
            target.addfile(link)
    folder = unpack.unpack(archive, archive.read_bytes()[:4], scratch)
    assert folder is not None
    assert list(folder.iterdir()) == []
