"""Restoring dumps: every format of pg_dump, and everything that is not a dump of this database."""

import gzip
import subprocess
import zipfile
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from dvd_rental_pipeline.sample.database import KEYS, row_counts
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint, rows, value


@pytest.fixture
def occupied_url(database_url: str) -> str:
    """A database that holds something, to see whether it survives."""
    with psycopg.connect(database_url) as connection:
        connection.execute("create table old_data as select 42 as answer")
    return database_url


class Dumper(Protocol):
    """Writes a dump of the small sample under a name."""

    def __call__(self, name: str, *options: str) -> Path: ...


@pytest.fixture
def dumped(postgres: EmbeddedPostgres, small_sample_url: str, tmp_path: Path) -> Dumper:
    """How to dump the small sample with pg_dump."""

    def dump(name: str, *options: str) -> Path:
        return _dump(postgres, small_sample_url, tmp_path / name, *options)

    return dump


@pytest.fixture
def plain(dumped: Dumper) -> Path:
    """A plain SQL dump of the small sample, with owners, and with the statements that make the database."""
    return dumped("sample.sql", "--create")


def _dump(postgres: EmbeddedPostgres, url: str, path: Path, *options: str) -> Path:
    subprocess.run([postgres.binaries.folder / "pg_dump", *options, "--file", path, url], check=True)
    return path


def test_the_real_dump_has_its_well_known_numbers(real_url: str) -> None:
    counts = row_counts(real_url)

    assert (counts["rental"], counts["payment"], sum(counts.values())) == (16_044, 14_596, 44_820)
    assert str(value(real_url, "select sum(amount) from payment")) == "61312.04"
    assert {str(sales) for (sales,) in rows(real_url, "select total_sales from sales_by_store")} == {
        "30628.91",
        "30683.13",
    }


def test_the_zip_that_the_real_dump_is_handed_out_in(
    occupied_url: str, real_dump: Path, tmp_path: Path
) -> None:
    path = tmp_path / "dvdrental.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "The sample database")
        archive.write(real_dump, "dvdrental.tar")

    assert restore(occupied_url, path)["rental"] == 16_044


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample.dump", ["--format=custom"]),
        ("sample.tar", ["--format=tar"]),
        ("sample_folder", ["--format=directory"]),
        ("sample.sql", ["--create", "--clean", "--if-exists"]),
        ("inserts.sql", ["--rows-per-insert=100"]),
        ("misnamed.txt", ["--format=custom"]),
    ],
)
def test_each_format_brings_back_what_was_dumped(
    dumped: Dumper, small_sample_url: str, occupied_url: str, name: str, options: list[str]
) -> None:
    told: list[str] = []

    counts = restore(occupied_url, dumped(name, *options), progress=told.append)

    assert counts == row_counts(small_sample_url)
    assert fingerprint(occupied_url) == fingerprint(small_sample_url)
    assert any(name in text for text in told)


def test_a_gzipped_dump(plain: Path, occupied_url: str, small_sample_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.sql.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))

    assert restore(occupied_url, path) == row_counts(small_sample_url)


def test_owners_and_privileges_of_another_server_are_ignored(
    plain: Path, occupied_url: str, small_sample_url: str
) -> None:
    foreign = plain.read_text().replace(
        "-- PostgreSQL database dump complete",
        "ALTER TABLE public.film OWNER TO nobody_here;\nGRANT SELECT ON TABLE public.film TO nobody_here;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE nobody_here GRANT SELECT ON TABLES TO nobody_here;\n"
        "SET SESSION AUTHORIZATION 'nobody_here';\n\n-- PostgreSQL database dump complete",
    )
    plain.write_text(foreign)

    assert restore(occupied_url, plain) == row_counts(small_sample_url)


def test_other_databases_are_left_alone(plain: Path, occupied_url: str, postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database bystander template template0")
    try:
        with psycopg.connect(postgres.url("bystander")) as connection:
            connection.execute("create table kept (a integer)")
        plain.write_text(
            "DROP DATABASE bystander;\nDROP DATABASE IF EXISTS bystander;\n\\connect bystander\n"
            "drop table if exists public.kept;\nALTER DATABASE bystander RENAME TO gone;\n" + plain.read_text()
        )
        before = databases(occupied_url)

        restore(occupied_url, plain)

        assert databases(occupied_url) == before
        assert value(postgres.url("bystander"), "select count(*) from kept") == 0
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute("drop database if exists bystander with (force)")


def test_a_database_cannot_be_dropped_in_other_words_either(
    plain: Path, occupied_url: str, postgres: EmbeddedPostgres
) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database bystander template template0")
    try:
        plain.write_text("select 1; drop\n  database bystander;\n" + plain.read_text())

        with pytest.raises(SourceError, match="DROP DATABASE cannot run inside a transaction block"):
            restore(occupied_url, plain)

        assert "bystander" in databases(occupied_url)
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute("drop database bystander with (force)")


@pytest.mark.parametrize("command", ["\\! touch {path}", "\\i /etc/passwd", "\\copy film from program 'true'"])
def test_psql_commands_are_refused(plain: Path, occupied_url: str, tmp_path: Path, command: str) -> None:
    mark = tmp_path / "mark"
    plain.write_text(command.format(path=mark) + "\n" + plain.read_text())

    with pytest.raises(SourceError, match=r"Line 1 of .* is a psql command"):
        restore(occupied_url, plain)

    assert not mark.exists()
    assert value(occupied_url, "select answer from old_data") == 42


def test_data_that_look_like_statements_are_kept(
    dumped: Dumper, occupied_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    restore(occupied_url, dumped("first.dump", "--format=custom"))
    texts = [
        "DROP DATABASE bystander;",
        "\\! ls",
        "GRANT ALL ON film TO me;",
        "a\n\\.\nb",
        "COPY x FROM stdin;",
    ]
    with psycopg.connect(occupied_url) as connection:
        for key, text in enumerate(texts, start=1):
            connection.execute("update film set description = %s where film_id = %s", [text, key])
        connection.execute(
            "create function warning() returns text language plpgsql as"
            " $f$ begin\nreturn '\nDROP DATABASE bystander;\n\\connect bystander\n';\nend $f$"
        )
    before = fingerprint(occupied_url)

    restore(occupied_url, _dump(postgres, occupied_url, tmp_path / "second.sql"))

    assert fingerprint(occupied_url) == before
    assert "DROP DATABASE" in value(occupied_url, "select warning()")


def test_a_later_restore_replaces_an_earlier_one(plain: Path, occupied_url: str) -> None:
    first = restore(occupied_url, plain)

    assert restore(occupied_url, plain) == first


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("file_format", ["tar", "custom", "plain"])
def test_a_dump_that_was_cut_short(dumped: Dumper, occupied_url: str, file_format: str, share: float) -> None:
    dump = _cut(dumped("sample", f"--format={file_format}"), share)

    _assert_refused(occupied_url, dump, "cut short")


def test_a_gzip_that_was_cut_short(plain: Path, occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.sql.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))

    _assert_refused(occupied_url, _cut(path, 0.5), "cut short")


def test_a_zip_that_was_cut_short(plain: Path, occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(plain, "sample.sql")

    _assert_refused(occupied_url, _cut(path, 0.5), "cut short")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\x01\x02" * 1000, b"PK\x05\x06" + bytes(18)])
def test_what_is_not_a_dump(occupied_url: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "something"
    path.write_bytes(content)

    _assert_refused(occupied_url, path, "is not a PostgreSQL dump")


def test_a_folder_that_is_not_a_dump(occupied_url: str, tmp_path: Path) -> None:
    _assert_refused(occupied_url, tmp_path, "is not a PostgreSQL dump")


def test_a_zip_without_a_dump(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"...")

    _assert_refused(occupied_url, path, "is not a PostgreSQL dump")


def test_no_such_file(occupied_url: str, tmp_path: Path) -> None:
    _assert_refused(occupied_url, tmp_path / "missing.tar", "There is no")


def test_a_dump_of_another_database(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sql"
    path.write_text("CREATE TABLE planets (name text);\nCOPY planets (name) FROM stdin;\nMars\n\\.\n")

    _assert_refused(occupied_url, path, f"not a DVD rental database.*{', '.join(sorted(KEYS))}")


def test_a_dump_of_a_whole_server(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "all.sql"
    path.write_text("--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE me;\nCREATE TABLE a (b int);\n")

    _assert_refused(occupied_url, path, "whole server")


def test_a_script_that_fails_half_way(plain: Path, occupied_url: str) -> None:
    plain.write_text(plain.read_text().replace("CREATE VIEW public.staff_list", "CREATE NONSENSE staff_list"))

    _assert_refused(occupied_url, plain, "NONSENSE")


def _assert_refused(url: str, path: Path, complaint: str) -> None:
    """One message, the old data as they were, and no other database than before."""
    before = databases(url)
    with pytest.raises(SourceError, match=complaint):
        restore(url, path)
    assert value(url, "select answer from old_data") == 42
    assert databases(url) == before
