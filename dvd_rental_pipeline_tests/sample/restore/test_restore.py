"""Restoring dumps of every format, and refusing everything that is not a dump of this database."""

import gzip
import zipfile
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint, rows, value
from dvd_rental_pipeline_tests.sample.restore.dumps import dump

TABLES = DVD_RENTAL_TABLES


@pytest.fixture
def occupied_url(database_url: str) -> str:
    """A database with a row that must survive a failed restore."""
    with psycopg.connect(database_url) as connection:
        connection.execute("create table old_data as select 42 as answer")
    return database_url


class Dumper(Protocol):
    """Writes a dump of the small sample under a name."""

    def __call__(self, name: str, *options: str) -> Path: ...


@pytest.fixture
def dumped(postgres: EmbeddedPostgres, small_sample_url: str, tmp_path: Path) -> Dumper:
    """A function that dumps the small sample with pg_dump."""

    def dump_sample(name: str, *options: str) -> Path:
        return dump(postgres, small_sample_url, tmp_path / name, *options)

    return dump_sample


@pytest.fixture
def plain(dumped: Dumper) -> Path:
    """A plain SQL dump of the small sample, with owners and with the statements that create the database."""
    return dumped("sample.sql", "--create")


def test_real_dump_has_the_known_totals(real_url: str) -> None:
    counts = TABLES.row_counts(real_url)

    assert (counts["rental"], counts["payment"], sum(counts.values())) == (16_044, 14_596, 44_820)
    assert str(value(real_url, "select sum(amount) from payment")) == "61312.04"
    assert {str(sales) for (sales,) in rows(real_url, "select total_sales from sales_by_store")} == {
        "30628.91",
        "30683.13",
    }


def test_zip_of_the_real_dump(occupied_url: str, real_dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "dvdrental.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "The sample database")
        archive.write(real_dump, "dvdrental.tar")

    assert restore(occupied_url, [path], TABLES).row_counts["rental"] == 16_044


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
def test_each_format_restores_the_dumped_data(
    dumped: Dumper, small_sample_url: str, occupied_url: str, name: str, options: list[str]
) -> None:
    progress: list[str] = []

    counts = restore(occupied_url, [dumped(name, *options)], TABLES, on_progress=progress.append).row_counts

    assert counts == TABLES.row_counts(small_sample_url)
    assert fingerprint(occupied_url) == fingerprint(small_sample_url)
    assert any(name in text for text in progress)


def test_gzipped_dump(plain: Path, occupied_url: str, small_sample_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.sql.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))

    assert restore(occupied_url, [path], TABLES).row_counts == TABLES.row_counts(small_sample_url)


def test_owners_and_privileges_are_ignored(plain: Path, occupied_url: str, small_sample_url: str) -> None:
    foreign = plain.read_text().replace(
        "-- PostgreSQL database dump complete",
        "ALTER TABLE public.film OWNER TO missing_role;\nGRANT SELECT ON TABLE public.film TO missing_role;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE missing_role GRANT SELECT ON TABLES TO missing_role;\n"
        "SET SESSION AUTHORIZATION 'missing_role';\n\n-- PostgreSQL database dump complete",
    )
    plain.write_text(foreign)

    assert restore(occupied_url, [plain], TABLES).row_counts == TABLES.row_counts(small_sample_url)


def test_other_databases_are_unchanged(plain: Path, occupied_url: str, postgres: EmbeddedPostgres) -> None:
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

        restore(occupied_url, [plain], TABLES)

        assert databases(occupied_url) == before
        assert value(postgres.url("bystander"), "select count(*) from kept") == 0
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute("drop database if exists bystander with (force)")


def test_drop_database_across_lines_is_refused(
    plain: Path, occupied_url: str, postgres: EmbeddedPostgres
) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database bystander template template0")
    try:
        trailer = "-- PostgreSQL database dump complete"
        statement = "select 1; drop\n  database bystander;\n"
        plain.write_text(plain.read_text().replace(trailer, f"{statement}{trailer}"))

        with pytest.raises(SourceError, match="DROP DATABASE cannot run inside a transaction block"):
            restore(occupied_url, [plain], TABLES)

        assert "bystander" in databases(occupied_url)
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute("drop database bystander with (force)")


@pytest.mark.parametrize("command", ["\\! touch {path}", "\\i /etc/passwd", "\\copy film from program 'true'"])
def test_psql_commands_are_refused(plain: Path, occupied_url: str, tmp_path: Path, command: str) -> None:
    mark = tmp_path / "mark"
    plain.write_text(command.format(path=mark) + "\n" + plain.read_text())

    with pytest.raises(SourceError, match=r"Line 1 of .* is a psql command"):
        restore(occupied_url, [plain], TABLES)

    assert not mark.exists()
    assert value(occupied_url, "select answer from old_data") == 42


def test_data_that_look_like_statements_are_restored(
    dumped: Dumper, occupied_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    restore(occupied_url, [dumped("first.dump", "--format=custom")], TABLES)
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

    restore(occupied_url, [dump(postgres, occupied_url, tmp_path / "second.sql")], TABLES)

    assert fingerprint(occupied_url) == before
    assert "DROP DATABASE" in value(occupied_url, "select warning()")


def test_restore_replaces_an_earlier_one(plain: Path, occupied_url: str) -> None:
    first = restore(occupied_url, [plain], TABLES)

    assert restore(occupied_url, [plain], TABLES) == first


def _truncate(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("file_format", ["tar", "custom", "plain"])
def test_truncated_dump_is_refused(dumped: Dumper, occupied_url: str, file_format: str, share: float) -> None:
    path = _truncate(dumped("sample", f"--format={file_format}"), share)

    _assert_refused(occupied_url, path, "truncated")


def test_truncated_gzip_is_refused(plain: Path, occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.sql.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))

    _assert_refused(occupied_url, _truncate(path, 0.5), "truncated")


def test_truncated_zip_is_refused(plain: Path, occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(plain, "sample.sql")

    _assert_refused(occupied_url, _truncate(path, 0.5), "truncated")


@pytest.mark.parametrize("content", [b"hello", b"\x00\x01\x02" * 1000, b"PK\x05\x06" + bytes(18)])
def test_other_file_content_is_refused(occupied_url: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "something"
    path.write_bytes(content)

    _assert_refused(occupied_url, path, "is not a PostgreSQL dump")


def test_other_folder_is_refused(occupied_url: str, tmp_path: Path) -> None:
    _assert_refused(occupied_url, tmp_path, "is not a PostgreSQL dump")


def test_zip_without_a_dump_is_refused(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"...")

    _assert_refused(occupied_url, path, "is not a PostgreSQL dump")


def test_missing_file_is_refused(occupied_url: str, tmp_path: Path) -> None:
    _assert_refused(occupied_url, tmp_path / "missing.tar", "does not exist")


def test_dump_of_another_database_is_refused(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sql"
    path.write_text("CREATE TABLE planets (name text);\nCOPY planets (name) FROM stdin;\nMars\n\\.\n")

    _assert_refused(occupied_url, path, f"not a DVD rental database.*{', '.join(sorted(TABLES.primary_keys))}")


def test_dump_of_a_whole_server_is_refused(occupied_url: str, tmp_path: Path) -> None:
    path = tmp_path / "all.sql"
    path.write_text("--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE me;\nCREATE TABLE a (b int);\n")

    _assert_refused(occupied_url, path, "whole server")


def test_failing_statement_rolls_back_the_restore(plain: Path, occupied_url: str) -> None:
    plain.write_text(plain.read_text().replace("CREATE VIEW public.staff_list", "CREATE NONSENSE staff_list"))

    _assert_refused(occupied_url, plain, "NONSENSE")


def _assert_refused(url: str, path: Path, message: str) -> None:
    """Assert that the restore fails with one message, unchanged data and no additional databases."""
    before = databases(url)
    with pytest.raises(SourceError, match=message):
        restore(url, [path], TABLES)
    assert value(url, "select answer from old_data") == 42
    assert databases(url) == before
