"""A source on the embedded server: any declared database, filled when it is empty."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.sample.databases import sample_database
from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.required_tables import RequiredTables
from dvd_rental_pipeline.sample.sample_database import SampleDatabase
from dvd_rental_pipeline.sample.source import Source, without_password
from dvd_rental_pipeline.sample.staged_database import staged_database
from dvd_rental_pipeline_tests.sample.queries import value

BOOKS = RequiredTables("library", {"book": ("isbn",)})


def _fill_library(url: str, on_progress: Callable[[str], None]) -> None:
    on_progress("filling the library")
    with staged_database(url, BOOKS) as staged_url, psycopg.connect(staged_url) as connection:
        connection.execute("create table book as select 'a' as isbn")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Source]:
    """A second sample database, on an embedded server that has the DVD rental one too."""
    source = Source(tmp_path / "postgres", SampleDatabase("library", BOOKS, _fill_library))
    yield source
    source.embedded.stop()


def test_any_declared_database_is_created_and_filled_once(library: Source) -> None:
    progress: list[str] = []
    notices: list[str] = []
    assert not library.status().running
    for _ in range(2):
        with library.open(progress.append, notices.append) as url:
            assert value(url, "select current_database()") == "library"
            assert value(url, "select count(*) from book") == 1
            status = library.status()
    assert progress == ["The source has no data: generating sample data", "filling the library"]
    assert notices == ["The source had no data: the database library has generated sample data."]
    assert (status.kind, status.running, status.url, status.wal_level) == ("embedded", True, url, "logical")
    assert status.row_counts == {"book": 1}


def test_databases_of_one_server_are_independent(library: Source) -> None:
    dvd_rental = Source(library.postgres_dir, DVD_RENTAL_DATABASE)
    with library.open(lambda _: None), dvd_rental.lease() as url:
        assert value(url, "select current_database()") == "dvdrental"
        assert value(url, "select count(*) from pg_tables where schemaname = 'public'") == 0
        status = dvd_rental.status()
        assert (status.running, status.url, status.row_counts) == (True, url, None)


def test_database_whose_rows_were_deleted_is_not_filled(library: Source) -> None:
    with library.open(lambda _: None) as url, psycopg.connect(url) as connection:
        connection.execute("delete from book")
    progress: list[str] = []
    with library.open(progress.append) as url:
        assert value(url, "select count(*) from book") == 0
        assert library.status().row_counts == {"book": 0}
    assert progress == []


def test_status_of_a_database_that_does_not_exist_yet(library: Source) -> None:
    with library.lease():
        status = library.status()
    assert status.running
    assert status.row_counts is None


def test_external_source_is_opened_as_it_is_and_never_changed(database_url: str, tmp_path: Path) -> None:
    source = Source(tmp_path / "postgres", SampleDatabase("library", BOOKS, _fill_library), database_url)
    with source.open(lambda _: None) as url:
        assert url == database_url
    assert source.status().row_counts is None
    with pytest.raises(SourceError, match="which this command must not change"), source.lease():
        pass
    assert not (tmp_path / "postgres").exists()


def test_password_is_removed_from_a_shown_url() -> None:
    assert without_password("postgresql://me:secret@host:5432/db") == "postgresql://me@host:5432/db"
    assert without_password("postgresql://me@host/db") == "postgresql://me@host/db"


def test_domain_without_a_sample_database_is_an_error() -> None:
    assert sample_database("dvd_rental") is DVD_RENTAL_DATABASE
    with pytest.raises(SourceError, match="unknown has no sample database"):
        sample_database("unknown")
