"""What cannot be replicated is refused with one clear message, which never contains a password."""

from pathlib import Path
from urllib.parse import quote

import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLE = "create table t (id int primary key)"
PASSWORD = "p@ss word/1"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("create table bad (id int)", "no primary key"),
        ("create unlogged table bad (id int primary key)", "unlogged"),
        ("create view bad as select 1 as id", "not a table"),
        ("create table bad (id int primary key deferrable)", "deferrable"),
        ("create table bad (id int primary key); alter table bad replica identity nothing", "replica identity"),
        ('create table bad (id int primary key, "ID" int)', "differ only by case"),
        ("create table bad (id int primary key, _ab_cdc_lsn int)", "pipeline's own"),
        ("select 1", "no table public.bad"),
    ],
)
def test_a_table_that_cannot_be_replicated_does_not_stop_the_others(
    pair: Pair, statement: str, message: str
) -> None:
    pair.run(TABLE, statement, "insert into t values (1)")
    keys = {"t": ("id",), "bad": ("id",)}
    for _ in range(2):
        tables = pair.sync(tables=keys).tables
        assert message in (tables["bad"].error or "")
        assert tables["t"].rows == 1
    assert pair.value("select count(*) from pg_publication_tables") == 1


def test_a_table_is_replicated_again_once_it_can_be(pair: Pair) -> None:
    pair.run(TABLE, "create table u (id int primary key)")
    pair.sync()
    pair.run("alter table t drop constraint t_pkey", "insert into t values (1)")
    assert "no primary key" in (pair.sync_one().error or "")
    pair.run("insert into t values (2)", "alter table t add primary key (id)")
    sync = pair.sync_one()
    assert (sync.mode, sync.rows) == ("snapshot", 2)
    assert "could not" in (sync.reason or "") or "no primary key" in (sync.reason or "")


def test_names_that_differ_only_by_case(pair: Pair) -> None:
    pair.run(TABLE, 'create table "T" (id int primary key)')
    tables = pair.sync(tables={"t": ("id",), "T": ("id",)}).tables
    assert tables["t"].error is None
    assert "differ only by case" in (tables["T"].error or "")


def _refusal(pair: Pair, **options: object) -> str:
    with pytest.raises(ReplicationError) as refused:
        pair.replicator(**options).sync()
    assert PASSWORD not in str(refused.value)
    assert quote(PASSWORD, safe="") not in str(refused.value)
    return str(refused.value)


def test_a_source_that_is_down(pair: Pair) -> None:
    url = f"postgresql://someone:{quote(PASSWORD, safe='')}@127.0.0.1:1/dvdrental"
    message = _refusal(pair, source_url=url, tables={"t": ("id",)})
    assert "Cannot reach the source PostgreSQL at 127.0.0.1:1/dvdrental" in message


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@h:x/d", f"password={PASSWORD} nonsense"])
def test_an_invalid_url(pair: Pair, url: str) -> None:
    assert "not valid" in _refusal(pair, source_url=url, tables={"t": ("id",)})


def test_a_user_without_permission(pair: Pair, postgres: EmbeddedPostgres) -> None:
    pair.run(TABLE)
    role = f"r_{pair.slot}"
    pair.run(f"create role {role} ", f"grant select on t to {role}")
    try:
        url = f"{pair.url}&options=-crole%3D{role}"
        message = _refusal(pair, source_url=url)
        assert "permission denied" in message
        assert "REPLICATION" in message
        pair.run(f"create publication {pair.slot} for table t")
        assert "REPLICATION" in _refusal(pair, source_url=url)
    finally:
        pair.run(f"drop owned by {role}", f"drop role {role}")


def test_a_table_without_select_privilege(pair: Pair) -> None:
    pair.run(TABLE, "create table secret (id int primary key)")
    role = f"r_{pair.slot}"
    pair.run(f"create role {role} replication", f"alter table t owner to {role}")
    pair.run(f"do $$ begin execute format('grant create on database %I to {role}', current_database()); end $$")
    pair.run(f"grant create on schema public to {role}")
    try:
        url = f"{pair.url}&options=-crole%3D{role}"
        tables = pair.sync(source_url=url).tables
        assert "GRANT SELECT" in (tables["secret"].error or "")
        assert tables["t"].error is None
    finally:
        pair.run(f"reassign owned by {role} to current_user", f"drop owned by {role}", f"drop role {role}")


def test_no_free_slot(pair: Pair) -> None:
    pair.run(TABLE)
    free = pair.value(
        "select current_setting('max_replication_slots')::int - count(*) from pg_replication_slots"
    )
    names = [f"{pair.slot}_{number}" for number in range(free)]
    for name in names:
        pair.run(f"select pg_create_physical_replication_slot('{name}')")
    try:
        assert "max_replication_slots" in _refusal(pair)
    finally:
        for name in names:
            pair.run(f"select pg_drop_replication_slot('{name}')")


def test_a_slot_used_for_something_else(pair: Pair) -> None:
    pair.run(TABLE, f"select pg_create_physical_replication_slot('{pair.slot}')")
    try:
        assert "does not belong to this pipeline" in _refusal(pair)
    finally:
        pair.run(f"select pg_drop_replication_slot('{pair.slot}')")


def test_a_wal_level_other_than_logical(own_server: EmbeddedPostgres, tmp_path: Path) -> None:
    with own_server.lease() as url, Pair.connected(url, tmp_path / "warehouse.duckdb") as pair:
        pair.run(TABLE, "alter system set wal_level = replica")
    own_server.stop()
    with own_server.lease() as url, Pair.connected(url, tmp_path / "warehouse.duckdb") as pair:
        message = _refusal(pair)
        assert "wal_level=replica" in message
        assert "rds.logical_replication" in message


def test_a_transaction_that_stays_open(pair: Pair) -> None:
    pair.run(TABLE)
    with Pair.connected(pair.url, pair.warehouse) as other:
        other.run("begin", "insert into t values (1)")
        assert "stayed open" in _refusal(pair, wait_seconds=1)
        other.run("commit")
    assert pair.sync_one().rows == 1


def test_another_sync_that_does_not_end(pair: Pair) -> None:
    pair.run(TABLE)
    pair.run(f"select pg_advisory_lock(hashtextextended('dvd_rental replication {pair.slot}', 0))")
    assert "Another sync" in _refusal(pair, wait_seconds=0.5)


def test_row_security_fails_the_sync_instead_of_hiding_rows(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1), (2)", "alter table t enable row level security")
    role = f"r_{pair.slot}"
    pair.run(f"create role {role} replication", f"grant select on t to {role}")
    try:
        pair.run(f"create publication {pair.slot} for table only t with (publish_via_partition_root = true)")
        url = f"{pair.url}&options=-crole%3D{role}"
        assert "row-level security" in _refusal(pair, source_url=url)
    finally:
        pair.run(f"drop owned by {role}", f"drop role {role}")
