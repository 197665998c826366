"""Ingestion by a watermark: nothing is lost by late commits, nothing lands twice, nothing is half visible."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dvd_rental_pipeline.core.catalog import Column, Domain, Table
from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore
from dvd_rental_pipeline.ingestion.files.landing import LandedContent, LandingZone, landed_files
from dvd_rental_pipeline.ingestion.files.object_store import ObjectStoreError
from dvd_rental_pipeline.ingestion.files.parquet_session import open_parquet_session
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.ingestion.postgres_watermark.ingest import ingest
from dvd_rental_pipeline.ingestion.postgres_watermark.landed_tables import create_live_view

TIMESTAMP = "timestamp(3) without time zone"
HOSTILE = 'order"; drop table note; --'
NOTE = Table(
    "note",
    "one row per note",
    ("id",),
    (
        Column("id", "integer", ""),
        Column("text", "text", "", nullable=True),
        Column("price", "numeric(10,2)", "", nullable=True),
        Column("last_updated", TIMESTAMP, ""),
    ),
)
ODD = Table(HOSTILE, "", ("it's",), (Column("it's", "text", ""), Column("last_updated", TIMESTAMP, "")))
DOMAIN = Domain("shop", "public", "", "team:test", (NOTE,), ())
NOW = "date_trunc('milliseconds', clock_timestamp() at time zone 'UTC')"
NO_OVERLAP = timedelta(0)


@pytest.fixture
def source(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create table note (id int primary key, text text, price numeric(10, 2),"
            " last_updated timestamp(3) not null)"
        )
        yield connection


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(FolderStore(tmp_path / "landing"), "shop")


def write(source: psycopg.Connection, key: int, text: str | None, at: str = NOW) -> None:
    source.execute(
        f"insert into note values (%s, %s, 1.10, {at}) on conflict (id)"  # type: ignore[arg-type]
        " do update set text = excluded.text, last_updated = excluded.last_updated",
        [key, text],
    )


def landed(zone: LandingZone, table: Table = NOTE) -> Sequence[tuple[Any, ...]]:
    """Every landed version, with the number of its run."""
    with open_parquet_session() as session:
        session.create_view("v", table.columns, zone.store, landed_files(zone.manifests(), table.name))
        return session.rows("select * exclude (last_updated) from v order by _sequence, 1")


def live(zone: LandingZone) -> Sequence[tuple[Any, ...]]:
    with open_parquet_session() as session:
        create_live_view(session, zone, NOTE, zone.manifests(), "v")
        return session.rows("select id, text from v order by id")


def test_each_version_lands_once(source: psycopg.Connection, zone: LandingZone, database_url: str) -> None:
    write(source, 1, "a")
    write(source, 2, None)
    first = ingest(database_url, DOMAIN, zone)
    again = ingest(database_url, DOMAIN, zone)
    write(source, 1, "b")
    ingest(database_url, DOMAIN, zone)

    assert first.tables["note"].rows == 2
    assert again.manifest is None
    assert again.tables["note"].read == 2
    assert [(row[0], row[1], str(row[2]), row[3]) for row in landed(zone)] == [
        (1, "a", "1.10", 1),
        (2, None, "1.10", 1),
        (1, "b", "1.10", 2),
    ]


def test_rows_that_share_a_millisecond_are_found_although_one_landed_before(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as other:
        one.execute("select 1")
        other.execute("select 1")
        moment = source.execute(f"select {NOW}").fetchone()
        assert moment is not None
        for session, key in ((one, 1), (other, 2)):
            write(session, key, "same", f"timestamp '{moment[0]}'")
            session.commit()
            ingest(database_url, DOMAIN, zone, overlap=NO_OVERLAP)

    assert [(row[0], row[-1]) for row in landed(zone)] == [(1, 1), (2, 2)]


def test_late_commit_is_found_that_a_naive_watermark_loses(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    naive: dict[int, str] = {}
    seen = "-infinity"

    def naive_ingest() -> None:
        nonlocal seen
        rows = source.execute(
            "select id, text, last_updated::text from note where last_updated > %s", [seen]
        ).fetchall()
        naive.update({row[0]: row[1] for row in rows})
        seen = max([seen, *(row[2] for row in rows)], key=lambda text: (text != "-infinity", text))

    with psycopg.connect(database_url) as slow, psycopg.connect(database_url) as slower:
        for session, key in ((slow, 1), (slower, 2)):
            write(session, key, "written early, committed late")
        write(source, 3, "written late, committed early")
        naive_ingest()
        ingest(database_url, DOMAIN, zone, overlap=NO_OVERLAP)
        slow.commit()
        naive_ingest()
        ingest(database_url, DOMAIN, zone, overlap=NO_OVERLAP)
        slower.commit()
    naive_ingest()
    ingest(database_url, DOMAIN, zone, overlap=NO_OVERLAP)

    assert sorted(naive) == [3]
    assert [row[0] for row in live(zone)] == [1, 2, 3]
    assert len(landed(zone)) == 3


def test_overlap_covers_a_clock_that_is_behind(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    write(source, 1, "a")
    ingest(database_url, DOMAIN, zone)
    write(source, 2, "five minutes behind", f"{NOW} - interval '5 minutes'")
    write(source, 3, "an hour ahead", f"{NOW} + interval '1 hour'")
    ingest(database_url, DOMAIN, zone)
    ingest(database_url, DOMAIN, zone)

    assert [(row[0], row[-1]) for row in landed(zone)] == [(1, 1), (2, 2), (3, 2)]


def test_complete_run_lands_deletions_and_changes_without_a_new_time(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    for key in (1, 2, 3):
        write(source, key, "a", "timestamp '2026-01-01'")
    ingest(database_url, DOMAIN, zone)
    source.execute("delete from note where id = 1")
    source.execute("update note set text = 'silent' where id = 2")
    unseen = ingest(database_url, DOMAIN, zone)
    complete = ingest(database_url, DOMAIN, zone, complete=True)

    assert unseen.manifest is None
    assert (complete.tables["note"].rows, complete.tables["note"].deleted) == (1, 1)
    assert live(zone) == [(2, "silent"), (3, "a")]
    write(source, 1, "a", "timestamp '2026-01-01'")
    ingest(database_url, DOMAIN, zone, complete=True)
    assert live(zone) == [(1, "a"), (2, "silent"), (3, "a")]
    assert ingest(database_url, DOMAIN, zone, complete=True).manifest is None


class FailingStore(FolderStore):
    """Fails when a manifest is written."""

    def put_new(self, key: str, file: Path) -> None:
        if key.endswith(".json"):
            raise ObjectStoreError("the process was killed")
        super().put_new(key, file)


def test_run_that_fails_before_its_manifest_is_not_visible(
    source: psycopg.Connection, zone: LandingZone, database_url: str, tmp_path: Path
) -> None:
    write(source, 1, "a")
    with pytest.raises(ObjectStoreError, match="killed"):
        ingest(database_url, DOMAIN, LandingZone(FailingStore(tmp_path / "landing"), "shop"))
    assert zone.manifests() == []

    ingest(database_url, DOMAIN, zone)

    assert len(landed(zone)) == 1


def test_of_two_concurrent_runs_one_becomes_visible(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    write(source, 1, "a")

    with pytest.raises(ObjectStoreError, match="never overwritten"):
        ingest(database_url, DOMAIN, zone, on_table=lambda _: ingest(database_url, DOMAIN, zone) and None)

    assert len(zone.manifests()) == 1
    assert len(landed(zone)) == 1


def test_hostile_names_and_values_are_data(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    quoted = HOSTILE.replace('"', '""')
    source.execute(f'create table "{quoted}" ("it\'s" text primary key, last_updated timestamp(3))')  # type: ignore[arg-type]
    source.execute(
        f'insert into "{quoted}" values (%s, now()), (%s, null)',  # type: ignore[arg-type]
        ["'; drop table note; --", '"x"\\'],
    )
    domain = Domain("shop", "public", "", "team:test", (ODD, NOTE), ())

    for complete in (False, False, True):
        ingest(database_url, domain, zone, complete=complete)

    assert sorted(row[0] for row in landed(zone, ODD)) == ['"x"\\', "'; drop table note; --"]
    assert source.execute("select count(*) from note").fetchone() == (0,)


def test_missing_table_and_wrong_password_are_messages_without_the_password(
    source: psycopg.Connection, zone: LandingZone, database_url: str
) -> None:
    source.execute("drop table note")

    with pytest.raises(ReplicationError, match=r"reported.*note.*does not exist"):
        ingest(database_url, DOMAIN, zone)
    with pytest.raises(ReplicationError, match="Cannot reach") as failure:
        ingest("postgresql://someone:planted-secret@127.0.0.1:1/db", DOMAIN, zone)
    assert "planted-secret" not in str(failure.value)
    assert zone.manifests() == []


def test_manifest_says_what_landed(source: psycopg.Connection, zone: LandingZone, database_url: str) -> None:
    write(source, 1, "a", "timestamp '2026-01-01'")
    run = ingest(database_url, DOMAIN, zone)

    (manifest,) = zone.manifests()
    assert manifest == run.manifest
    (file,) = manifest.of("note")
    assert (file.rows, file.content, file.key.split("/")[:2]) == (1, LandedContent.ROWS, ["shop", "note"])
    assert file.key == f"shop/note/{manifest.day:%Y/%m/%d}/00000001-{manifest.run}.parquet"
    assert run.sees_other_sessions
