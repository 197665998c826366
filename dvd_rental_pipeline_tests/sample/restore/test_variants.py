"""The shapes in which dumps reach people: each is restored completely, or refused by a sentence of its own."""

import bz2
import gzip
import io
import lzma
import secrets
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint
from dvd_rental_pipeline_tests.sample.restore.dumps import dump

TABLES = DVD_RENTAL_TABLES
APPLE_DOUBLE = b"\0\5\26\7" + bytes(28)


class Workshop:
    """Makes variants out of dumps of the small sample."""

    def __init__(self, folder: Path, dump_to: Callable[..., Path]) -> None:
        self.folder = folder
        self._dump_to = dump_to

    def dump(self, name: str, *options: str) -> Path:
        return self._dump_to(self.folder / name, "--no-owner", *options)

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def tar(self) -> Path:
        return self.dump("dvdrental.tar", "--format=tar")

    def unpacked(self) -> Path:
        """The folder of the unpacked tar, with the script that pg_dump adds."""
        folder = self.folder / "dvdrental"
        with tarfile.open(self.tar()) as archive:
            archive.extractall(folder, filter="data")
        assert {"toc.dat", "restore.sql"} <= {file.name for file in folder.iterdir()}
        return folder

    def plain(self, *before_trailer: str, replace: tuple[str, str] = ("", "")) -> Path:
        text = self.dump("plain.sql").read_text().replace(*replace, 1)
        head, trailer, tail = text.partition("-- PostgreSQL database dump complete")
        return self.write("plain.sql", "".join((head, *before_trailer, trailer, tail)))

    def zip(self, name: str, files: dict[str, bytes]) -> Path:
        with zipfile.ZipFile(self.folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return self.folder / name

    def tar_of(self, name: str, files: dict[str, bytes]) -> Path:
        with tarfile.open(self.folder / name, "w") as archive:
            for member, content in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return self.folder / name


def _files(folder: Path, prefix: str = "dvdrental/") -> dict[str, bytes]:
    return {f"{prefix}{file.name}": file.read_bytes() for file in sorted(folder.iterdir())}


def _with_shadows(files: dict[str, bytes]) -> dict[str, bytes]:
    """As Finder writes archives: a shadow file beside each."""
    return {
        name: content
        for member, data in files.items()
        for name, content in ((member.replace("/", "/._", 1), APPLE_DOUBLE), (member, data))
    }


def _alone(path: Path) -> Path:
    """Copy a file into an empty folder."""
    folder = path.parent.parent / "alone"
    folder.mkdir()
    return Path(shutil.copy(path, folder))


def _folder_tar_gz(w: Workshop) -> Path:
    return w.write("folder.tar.gz", gzip.compress(w.tar_of("folder.tar", _files(w.unpacked())).read_bytes()))


def _newer_archive(w: Workshop) -> Path:
    content = bytearray(w.dump("newer.dump", "--format=custom").read_bytes())
    content[6] = 99
    return w.write("newer.dump", bytes(content))


def _incomplete_folder(w: Workshop) -> Path:
    folder = w.unpacked()
    max(folder.glob("[0-9]*.dat"), key=lambda file: file.stat().st_size).unlink()
    return folder


RESTORED: dict[str, Callable[[Workshop], Path | list[Path]]] = {
    "schema public alone": lambda w: w.dump("n.sql", "-n", "public"),
    "schema public alone, clean": lambda w: w.dump("n.sql", "-n", "public", "--clean", "--if-exists"),
    "clean without if exists": lambda w: w.dump("n.sql", "--clean"),
    "schema public alone, custom": lambda w: w.dump("n.dump", "-n", "public", "--format=custom"),
    "schema, then data": lambda w: [w.dump("s.sql", "--schema-only"), w.dump("d.sql", "--data-only")],
    "schema, then custom data": lambda w: [
        w.dump("s.dump", "--schema-only", "--format=custom"),
        w.dump("d.dump", "--data-only", "--format=custom"),
    ],
    "folder": lambda w: w.unpacked(),
    "restore.sql of a folder": lambda w: w.unpacked() / "restore.sql",
    "toc.dat of a folder": lambda w: w.unpacked() / "toc.dat",
    "tar.gz of a folder": _folder_tar_gz,
    "zip of a folder": lambda w: w.zip("folder.zip", _files(w.unpacked())),
    "zip of the files": lambda w: w.zip("files.zip", _files(w.unpacked(), "")),
    "tar made on a Mac": lambda w: w.tar_of("mac.tar", _with_shadows(_files(w.unpacked()))),
    "zip made on a Mac": lambda w: w.zip(
        "mac.zip", {"__MACOSX/._dvdrental.tar": APPLE_DOUBLE, "dvdrental.tar": w.tar().read_bytes()}
    ),
    "zip with other files": lambda w: w.zip(
        "course.zip",
        {
            "queries.sql": b"create table notes (a int);\n",
            "readme.md": b"x",
            "data/dvdrental.tar": w.tar().read_bytes(),
        },
    ),
    "folder with the tar": lambda w: w.tar().parent,
    "gzip": lambda w: w.write("x.tar.gz", gzip.compress(w.tar().read_bytes())),
    "bzip2": lambda w: w.write("x.tar.bz2", bz2.compress(w.tar().read_bytes(), 1)),
    "xz": lambda w: w.write("x.tar.xz", lzma.compress(w.tar().read_bytes(), preset=0)),
    "UTF-8 with a byte order mark": lambda w: w.write(
        "bom.sql", b"\xef\xbb\xbf" + w.dump("x.sql").read_bytes()
    ),
}
ALIKE = {
    "schema public alone, clean",
    "schema, then custom data",
    "zip of the files",
    "zip made on a Mac",
    "tar made on a Mac",
    "bzip2",
    "xz",
}
"""Variants of which another one is among the quick tests."""
REFUSED: dict[str, tuple[Callable[[Workshop], Path | list[Path]], str]] = {
    "schema alone": (
        lambda w: w.dump("s.sql", "--schema-only"),
        "has the tables, but no rows.*SCHEMA.sql DATA",
    ),
    "data alone": (lambda w: w.dump("d.sql", "--data-only"), "has rows, but not the tables.*SCHEMA.sql d.sql"),
    "restore.sql alone": (lambda w: _alone(w.unpacked() / "restore.sql"), "has no data: they are in the .dat"),
    "toc.dat alone": (lambda w: _alone(w.unpacked() / "toc.dat"), "is only the table of contents"),
    "folder without its data": (lambda w: _alone(w.unpacked() / "toc.dat").parent, "not the .dat files"),
    "folder that lacks a data file": (_incomplete_folder, r"its data file \d+\.dat is missing"),
    "UTF-16": (
        lambda w: w.write("u.sql", w.dump("x.sql").read_text().encode("utf-16")),
        "is UTF-16 text, which PowerShell",
    ),
    "UTF-16 without a mark": (
        lambda w: w.write("u.sql", w.dump("x.sql").read_text().encode("utf-16-le")),
        "is UTF-16 text, which PowerShell",
    ),
    "MySQL": (
        lambda w: w.write("m.sql", "-- MySQL dump 10.13\nCREATE TABLE `actor` (a int) ENGINE=InnoDB;\n"),
        "is a dump of MySQL or MariaDB",
    ),
    "Git LFS pointer": (
        lambda w: w.write("l.tar", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2835456\n"),
        "is a pointer of Git LFS",
    ),
    "web page": (lambda w: w.write("p.tar", "<!DOCTYPE html><html><body>404</body></html>\n"), "is a web page"),
    "zip with a web page": (lambda w: w.zip("p.zip", {"dvdrental.tar": b"<html>404</html>"}), "is a web page"),
    "newer PostgreSQL": (_newer_archive, r"was written by a newer PostgreSQL \(archive version 1\.99\)"),
    "zip with several dumps": (
        lambda w: w.zip("p.zip", {"a.sql": w.plain().read_bytes(), "b.sql": w.plain().read_bytes()}),
        r"contains several dumps: a\.sql, b\.sql",
    ),
    "empty file": (lambda w: w.write("e.sql", b""), "is empty"),
    "SQLite": (lambda w: w.write("s.db", b"SQLite format 3\0" + bytes(100)), "is an SQLite database"),
    "7-Zip": (lambda w: w.write("s.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100)), "is a 7-Zip archive"),
    "needs an extension": (
        lambda w: w.plain("CREATE EXTENSION postgis;\nALTER TABLE public.address ADD place public.geometry;\n"),
        "rejects a statement.*may need what is not available here: extension postgis",
    ),
}
EXTRAS = {
    "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\n"
    "COMMENT ON EXTENSION postgis IS 'geometry';\n": ["extension postgis"],
    "ALTER TABLE public.payment ENABLE ROW LEVEL SECURITY;\n"
    "CREATE POLICY p ON public.payment FOR SELECT TO analyst USING (true);\n"
    "GRANT SELECT ON TABLE public.payment TO analyst;\n": [
        "row-level security of public.payment",
        "policy p",
        "privileges of analyst",
    ],
    "SET default_tablespace = fast;\nCREATE TABLE public.fast_table (a integer);\n": ["tablespace fast"],
    "CREATE EVENT TRIGGER e ON ddl_command_end\n   EXECUTE FUNCTION public.nothing();\n": ["event trigger e"],
    "CREATE PUBLICATION everything FOR ALL TABLES;\n": ["publication everything"],
    "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false);\n": ["subscription s"],
    "SECURITY LABEL FOR anon ON TABLE public.film IS 'x';\n": ["security label by anon"],
}


@pytest.fixture(scope="module")
def dump_to(
    postgres: EmbeddedPostgres, small_sample_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """A function that puts a dump of the small sample at a path; with the same options it is made once."""
    folder = tmp_path_factory.mktemp("dumps")

    @cache
    def dumped(*options: str) -> Path:
        return dump(postgres, small_sample_url, folder / secrets.token_hex(8), *options)

    return lambda path, *options: Path(shutil.copy(dumped(*options), path))


@pytest.fixture
def workshop(dump_to: Callable[..., Path], tmp_path: Path) -> Workshop:
    folder = tmp_path / "work"
    folder.mkdir()
    return Workshop(folder, dump_to)


def _paths(made: Path | list[Path]) -> list[Path]:
    return made if isinstance(made, list) else [made]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ALIKE else []) for name in RESTORED]
)
def test_variant_is_restored_completely(
    workshop: Workshop, name: str, database_url: str, small_sample_url: str
) -> None:
    result = restore(database_url, _paths(RESTORED[name](workshop)), TABLES)

    assert result.left_out == []
    assert fingerprint(database_url) == fingerprint(small_sample_url)


@pytest.mark.parametrize("name", REFUSED)
def test_variant_is_refused_by_its_own_sentence(
    workshop: Workshop, name: str, small_sample_copy_url: str
) -> None:
    make, sentence = REFUSED[name]
    paths = _paths(make(workshop))
    before, names = fingerprint(small_sample_copy_url), databases(small_sample_copy_url)

    with pytest.raises(SourceError, match=sentence) as refusal:
        restore(small_sample_copy_url, paths, TABLES)

    assert "damaged" not in str(refusal.value)
    assert fingerprint(small_sample_copy_url) == before
    assert databases(small_sample_copy_url) == names


@pytest.mark.parametrize(("statements", "left_out"), EXTRAS.items())
def test_extras_of_managed_servers_are_left_out_and_named(
    workshop: Workshop, statements: str, left_out: list[str], database_url: str, small_sample_url: str
) -> None:
    result = restore(database_url, [workshop.plain(statements)], TABLES)

    assert result.left_out == left_out
    assert fingerprint(database_url) == fingerprint(small_sample_url)
