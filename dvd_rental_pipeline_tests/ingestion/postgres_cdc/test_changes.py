"""Every kind of row change is replicated."""

import json
import threading
import time

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream, message_blocks
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

pytestmark = pytest.mark.every_postgres

TABLE = "create table t (id int primary key, name text, big text)"


def test_the_first_sync_copies_and_the_next_streams_changes(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one'), (2, 'two'), (3, '')")
    first = pair.sync_one()
    assert (first.mode, first.reason, first.inserted, first.lsn_from) == ("snapshot", "first sync", 3, None)

    pair.run(
        "insert into t values (4, null)",
        "update t set name = 'zwei' where id = 2",
        "delete from t where id = 3",
    )
    second = pair.sync_one()
    assert (second.mode, second.reason) == ("changes", None)
    assert (second.rows_before, second.rows, second.tombstones) == (3, 3, 1)
    assert (second.inserted, second.updated, second.deleted) == (1, 1, 1)
    assert second.lsn_from == first.lsn_to
    assert second.last_commit_at is not None


def test_a_sync_without_changes_is_cheap_and_releases_wal(pair: Pair) -> None:
    pair.run(TABLE, "create table other (id int primary key)")
    pair.sync()
    # Not a table of the sync, but its changes are in the WAL, too.
    pair.run("insert into other select generate_series(1, 20000)")
    before = pair.value("select pg_current_wal_lsn()")
    idle = pair.sync(tables={"t": ("id",)})
    assert (idle.tables["t"].mode, idle.tables["t"].bytes) == ("changes", 0)
    assert pair.value(
        f"select confirmed_flush_lsn >= '{before}'::pg_lsn from pg_replication_slots"
        f" where slot_name = '{pair.slot}'"
    )


def test_a_deleted_row_stays_as_a_tombstone_and_is_revived(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one')")
    pair.sync()
    pair.run("delete from t")
    pair.sync()
    assert pair.raw("select id, name, _ab_cdc_deleted_at is not null from dvd_rental.t") == [(1, None, True)]
    pair.run("insert into t values (1, 'again')")
    assert pair.sync_one().inserted == 1
    assert pair.raw("select id, name, _ab_cdc_deleted_at from dvd_rental.t") == [(1, "again", None)]


def test_every_row_has_airbytes_columns(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one'), (2, 'two')")
    pair.sync()
    pair.run("update t set name = 'zwei' where id = 2")
    pair.sync()
    rows = pair.raw(
        "select id, _airbyte_raw_id, _airbyte_meta, _airbyte_generation_id, _ab_cdc_lsn,"
        " _ab_cdc_updated_at::timestamptz from dvd_rental.t order by id"
    )
    assert [json.loads(row[2]) for row in rows] == [
        {"sync_id": 1, "changes": []},
        {"sync_id": 2, "changes": []},
    ]
    assert len({row[1] for row in rows}) == 2
    assert [row[3] for row in rows] == [0, 0]
    # Readers that filter by LSN see every later change.
    assert rows[0][4] < rows[1][4]


def test_the_last_change_of_a_key_wins(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one')")
    pair.sync()
    pair.in_transaction(
        "update t set name = 'a'", "delete from t", "insert into t values (1, 'b')", "update t set name = 'c'"
    )
    pair.run("insert into t values (2, 'x')", "delete from t where id = 2")
    sync = pair.sync_one()
    assert (sync.inserted, sync.updated, sync.deleted) == (0, 1, 0)


def test_changed_keys_move_their_rows(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one'), (2, 'two'), (3, 'three')")
    pair.sync()
    pair.run("update t set id = 10 where id = 1")
    pair.in_transaction(
        "update t set id = 20 where id = 2",
        "update t set id = 2 where id = 3",
        "update t set id = 3 where id = 20",
    )
    sync = pair.sync_one()
    assert (sync.inserted, sync.updated, sync.deleted) == (1, 2, 1)


def test_truncate_leaves_tombstones(pair: Pair) -> None:
    pair.run(
        "create table t (id serial primary key, name text)",
        "create table child (id int primary key, t_id int references t)",
        "insert into t (name) values ('a'), ('b'), ('c')",
        "insert into child values (1, 1)",
    )
    pair.sync()
    pair.in_transaction(
        "insert into t (name) values ('before')",
        "truncate t restart identity cascade",
        "insert into t (name) values ('after'), ('after too')",
    )
    tables = pair.sync().tables
    assert (tables["t"].mode, tables["t"].truncated) == ("changes", True)
    assert (tables["t"].inserted, tables["t"].updated, tables["t"].deleted) == (0, 2, 1)
    assert (tables["child"].rows, tables["child"].tombstones, tables["child"].truncated) == (0, 1, True)
    pair.run("truncate t, child")
    assert pair.sync_one().deleted == 2


def test_a_large_value_that_did_not_change_stays(pair: Pair) -> None:
    pair.run(
        TABLE,
        "alter table t alter big set storage external",
        "insert into t select n, 'n', repeat(n::text, 5000) from generate_series(1, 4) n",
    )
    pair.sync()
    pair.run(
        "update t set name = 'across syncs' where id = 1",
        "update t set id = 20 where id = 2",
        "update t set id = 21 where id = 20",
        "update t set name = 'moved, then changed' where id = 21",
        "insert into t values (5, 'in the same sync', repeat('5', 9000))",
        "update t set name = 'changed' where id = 5",
        "update t set big = 'small' where id = 3",
        "update t set name = 'after that' where id = 3",
        "delete from t where id = 4",
        "insert into t values (4, 'again', repeat('x', 9000))",
        "update t set name = 'changed' where id = 4",
    )
    assert pair.sync_one().mode == "changes"


def test_rolled_back_changes_are_not_applied(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one')")
    pair.sync()
    pair.in_transaction(
        "insert into t values (2, 'kept')",
        "savepoint s",
        "insert into t values (3, 'undone')",
        "update t set name = 'undone'",
        "rollback to s",
        "insert into t values (4, 'kept too')",
    )
    pair.run("begin", "delete from t", "rollback")
    assert pair.sync_one().rows == 3


def test_transactions_are_applied_in_commit_order(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'one'), (2, 'two')")
    pair.sync()
    with Pair.connected(pair.url, pair.warehouse) as other:
        other.run("begin", "insert into t values (3, 'begun first')")
        pair.run("insert into t values (4, 'committed first')")
        pair.sync()
        other.run("commit")
    pair.sync()
    ((first,), (second,)) = pair.raw("select _ab_cdc_lsn from dvd_rental.t where id > 2 order by id")
    assert first > second


def test_asynchronous_commits_are_not_missed(pair: Pair) -> None:
    pair.run(TABLE)
    pair.sync()
    pair.run("set synchronous_commit = off", "insert into t values (1, 'perhaps not on disk yet')")
    assert pair.sync_one().inserted == 1


def test_a_large_sync_is_applied_in_batches(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "MAX_BATCH_CHANGES", 100)
    pair.run(
        TABLE,
        "alter table t alter big set storage external",
        "insert into t values (0, 'zero', repeat('0', 9000))",
    )
    pair.sync()
    pair.in_transaction(
        "insert into t select n, n::text, repeat(n::text, 3000) from generate_series(1, 300) n",
        "update t set name = name || '!' where id % 2 = 0",
        "update t set id = id + 1000 where id % 3 = 0",
        "delete from t where id % 5 = 0 and id > 0",
    )
    pair.run("truncate t", "insert into t select n, n::text from generate_series(50, 300) n")
    sync = pair.sync_one()
    assert (sync.mode, sync.rows) == ("changes", 251)


@pytest.mark.parametrize(
    ("bound", "value"), [("MAX_BATCH_BYTES", 50_000), ("MAX_BATCH_CHANGES", 100)], ids=["bytes", "changes"]
)
def test_each_bound_of_a_batch_is_kept(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(change_stream, bound, value)
    # A batch ends with a block of messages.
    monkeypatch.setattr(message_blocks, "BLOCK_BYTES", 10_000)
    pair.run(TABLE)
    pair.sync()
    pair.run("insert into t select n, n::text, repeat('x', 1000) from generate_series(1, 1000) n")
    steps: list[Step] = []
    sync = pair.sync(on_step=steps.append).tables["t"]
    assert (sync.inserted, sync.rows) == (1000, 1000)
    assert steps.count(Step.BATCH_APPLIED) >= 3


def test_composite_keys_and_names_that_need_quoting(pair: Pair) -> None:
    pair.run(
        'create table "Odd ""name"" {0} %s" ("select" int, "a b" text, "Ünïcode" date, "%(x)s" text[],'
        ' primary key ("a b", "select"))',
        "insert into \"Odd \"\"name\"\" {0} %s\" values (1, 'x''y', '2024-02-29', '{a,b}')",
        "create table empty_one (id int primary key)",
    )
    pair.sync()
    pair.run(
        'insert into "Odd ""name"" {0} %s" values (2, \'x\'\'y\', null, null)',
        'update "Odd ""name"" {0} %s" set "%(x)s" = null where "select" = 1',
        'update "Odd ""name"" {0} %s" set "a b" = \'z\' where "select" = 1',
    )
    result = pair.sync()
    assert all(table.mode == "changes" for table in result.tables.values())
    assert result.tables["empty_one"].rows == 0


def test_a_sync_of_some_tables_does_not_lose_the_changes_of_others(pair: Pair) -> None:
    pair.run(TABLE, "create table u (id int primary key)")
    pair.sync()
    pair.run("insert into t values (1, 'one')", "insert into u values (1)")
    pair.sync(tables={"t": ("id",)})
    pair.run("insert into u values (2)")
    sync = pair.sync().tables["u"]
    assert sync.mode == "snapshot"
    assert "not among the tables" in (sync.reason or "")


def test_changes_of_partitions_are_streamed_as_changes_of_the_root(pair: Pair) -> None:
    pair.run(
        "create table t (id int, day date, primary key (id, day)) partition by range (day)",
        "create table t1 partition of t for values from ('2024-01-01') to ('2025-01-01')",
        "create table t2 partition of t for values from ('2025-01-01') to ('2026-01-01')",
        "insert into t values (1, '2024-05-05'), (2, '2025-05-05')",
    )
    pair.sync()
    pair.run("insert into t values (3, '2024-06-06')", "update t set day = '2025-01-02' where id = 1")
    assert pair.sync_one().mode == "changes"
    pair.run("truncate t1")
    assert pair.sync_one().mode == "snapshot"
    pair.run("truncate t", "insert into t values (9, '2024-06-06')")
    pair.sync()


def test_rows_that_change_many_times_within_one_sync(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "MAX_BATCH_CHANGES", 4_000)
    pair.run(TABLE, "insert into t select n, md5(n::text), repeat('x', 200) from generate_series(1, 20000) n")
    pair.sync()
    for turn in range(3):
        pair.run(
            f"update t set name = '{turn} a' where id % 4 = 0",
            f"delete from t where id % 7 = {turn}",
            f"update t set name = '{turn} b' where id % 20000 < 9000",
            f"insert into t select n, '{turn} c', repeat('y', 200) from generate_series(1, 20000) n"
            " on conflict (id) do update set name = excluded.name where t.id % 3 = 0",
            f"update t set big = repeat('{turn}', 200)",
        )
        assert pair.sync_one().mode == "changes"


# From Pagila: a payments table with one partition per month, whose key contains the date.
PAYMENTS = (
    "create table payment (payment_id serial, customer_id int not null, amount numeric(5, 2) not null,"
    " payment_date timestamptz not null, primary key (payment_date, payment_id))"
    " partition by range (payment_date)",
    *(
        f"create table payment_p2022_0{month} partition of payment"
        f" for values from ('2022-0{month}-01') to ('2022-0{month + 1}-01')"
        for month in range(1, 8)
    ),
)


def test_pagilas_payments_under_traffic(pair: Pair) -> None:
    pair.run(*PAYMENTS)
    pay = (
        "insert into payment (customer_id, amount, payment_date)"
        " select n, n %% 10 + 0.99, '2022-01-01'::timestamptz + n %% 200 * interval '1 day'"
        " from generate_series(1, %s) n"
    )
    pair.source.execute(pay, [5000])
    stop = threading.Event()
    done = 0

    def make_payments() -> None:
        nonlocal done
        with psycopg.connect(pair.url, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(pay, [20])
                # Moves rows to another partition: a delete in one, an insert in the other.
                connection.execute(
                    "update payment set payment_date = payment_date + interval '31 days'"
                    " where payment_date < '2022-06-01' and payment_id %% 50 = %s",
                    [done % 50],
                )
                connection.execute("delete from payment where payment_id %% 97 = %s", [done % 97])
                done += 1

    writer = threading.Thread(target=make_payments)
    writer.start()
    try:
        modes = []
        for turn in range(6):
            seen = done
            while writer.is_alive() and done < seen + 5:
                time.sleep(0.01)
            sync = pair.replicator().sync().tables["payment"]
            modes.append((sync.mode, sync.reason))
            if turn == 2:
                pair.run(
                    "create table payment_p2022_08 partition of payment"
                    " for values from ('2022-08-01') to ('2022-09-01')",
                    "insert into payment (customer_id, amount, payment_date) values (1, 1, '2022-08-08')",
                )
    finally:
        stop.set()
        writer.join()
    assert modes[0] == ("snapshot", "first sync")
    # An attached partition may contain rows whose inserts are not in the stream.
    assert modes[3][0] == "snapshot"
    assert "its partitions changed" in (modes[3][1] or "")
    assert {*modes[1:3], *modes[4:]} == {("changes", None)}
    assert pair.sync_one("payment").mode == "changes"
    assert all(found.agrees for found in pair.verify().values())


def test_rows_of_an_inheriting_table_are_not_in_its_parent(pair: Pair) -> None:
    pair.run(TABLE, "create table child (primary key (id)) inherits (t)", "insert into child values (1, 'c')")
    pair.sync()
    pair.run("insert into child values (2, 'c')", "insert into t values (3, 't')")
    assert pair.sync().tables["t"].rows == 1


@pytest.mark.parametrize("identity", ["full", "using index t_id"])
def test_other_replica_identities_are_supported(pair: Pair, identity: str) -> None:
    pair.run(TABLE, "create unique index t_id on t (id)", f"alter table t replica identity {identity}")
    pair.run("insert into t values (1, 'one', repeat('x', 9000)), (2, 'two', null)")
    pair.sync()
    pair.run("update t set name = 'eins' where id = 1", "delete from t where id = 2", "update t set id = 7")
    assert pair.sync_one().mode == "changes"
