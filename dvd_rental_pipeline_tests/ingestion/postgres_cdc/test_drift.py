"""Schema drift of a source table is applied to its raw table, or causes a full copy with a reason."""

import pytest

from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLE = "create table t (id int primary key, name varchar(10), price numeric(5,2), old varchar(10))"
ROWS = "insert into t values (1, 'one', 1.25, 'x'), (2, 'two', 2.5, 'y')"


@pytest.fixture
def synced(pair: Pair) -> Pair:
    pair.run(TABLE, ROWS)
    pair.sync()
    return pair


def test_an_added_column_is_added_to_the_raw_table(synced: Pair) -> None:
    synced.run(
        "insert into t values (3, 'before')",
        "alter table t add column extra text[]",
        "insert into t values (4, 'after', 1, 'x', '{a}')",
        "update t set extra = '{b}' where id = 1",
    )
    sync = synced.sync_one()
    assert (sync.mode, sync.schema_changes) == ("changes", ("column extra text[] added",))
    assert synced.sync_one().schema_changes == ()


def test_a_dropped_column_stays_and_is_null_for_new_changes(synced: Pair) -> None:
    synced.run(
        "insert into t values (3, 'before', 1, 'z')",
        "alter table t drop column old",
        "update t set name = 'eins' where id = 1",
        "insert into t values (4)",
    )
    sync = synced.sync_one()
    assert (sync.mode, sync.schema_changes) == ("changes", ("column old dropped",))
    query = "select id, old from dvd_rental.t order by id"
    assert synced.raw(query) == [(1, None), (2, "y"), (3, None), (4, None)]
    synced.sync(full_refresh=True)
    assert {old for _, old in synced.raw(query)} == {None}


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("alter table t alter name type varchar(20)", "VARCHAR"),
        ("alter table t alter name type text", "VARCHAR"),
        ("alter table t alter price type numeric(9,2)", "DECIMAL(9,2)"),
        ("alter table t alter price type numeric", "VARCHAR"),
    ],
)
def test_a_widened_type_widens_the_raw_column(synced: Pair, statement: str, kind: str) -> None:
    synced.run(
        "update t set price = 3 where id = 1",
        statement,
        "insert into t values (3, 'long enough', 999.99)"
        if "name" in statement
        else "insert into t values (3, 'x', 12345.67)"
        if "9,2" in statement
        else "insert into t values (3, 'x', 1.5)",
    )
    sync = synced.sync_one()
    assert sync.mode == "changes"
    assert len(sync.schema_changes) == 1
    column = "name" if "name" in statement else "price"
    assert {name: found for name, found, *_ in synced.raw("describe dvd_rental.t")}[column] == kind


SWAP = "alter table t rename name to n; alter table t rename old to name; alter table t rename n to old"


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["alter table t rename name to label"], "renamed"),
        (["alter table t alter id type bigint"], "changed from integer to bigint"),
        (["alter table t alter price type int"], "changed from numeric(5,2) to integer"),
        (["alter table t alter price type numeric(5,2) using price * 2"], "altered and the table rewritten"),
        (["alter table t add column extra int default 5"], "values for older rows"),
        (
            ["alter table t add extra float default random()", "alter table t alter extra drop default"],
            "values for older rows",
        ),
        (["alter table t drop column old", "alter table t add column old text"], "dropped and added again"),
        (
            [
                "alter table t add x int",
                "update t set x = 1",
                "alter table t drop x",
                "alter table t add x int",
            ],
            "added and dropped between syncs",
        ),
        (
            ["alter table t add x int", "update t set x = 1", "alter table t drop x"],
            "added and dropped between syncs",
        ),
        (
            ["alter table t rename name to n", "update t set n = 'x'", "alter table t rename n to name"],
            "added and dropped between syncs",
        ),
        ([SWAP, "update t set name = 'x' where id = 1", SWAP], "other names for a while"),
        (
            ["alter table t drop constraint t_pkey", "alter table t add primary key (id, price)"],
            "primary key changed",
        ),
        (["drop table t", TABLE, "insert into t values (7)"], "dropped and created again"),
    ],
)
def test_a_change_that_the_wal_does_not_contain_causes_a_copy(
    synced: Pair, statements: list[str], reason: str
) -> None:
    generation = synced.raw("select max(_airbyte_generation_id) from dvd_rental.t")
    synced.run("update t set name = 'eins' where id = 1", *statements)
    sync = synced.sync_one()
    assert sync.mode == "snapshot"
    assert reason in (sync.reason or "")
    assert synced.raw("select max(_airbyte_generation_id) from dvd_rental.t") > generation
    synced.run("delete from t where id = 1")
    assert synced.sync_one().mode == "changes"


def test_a_copy_keeps_tombstones_and_adds_new_ones(synced: Pair) -> None:
    synced.run("delete from t where id = 1")
    synced.sync()
    (former,) = synced.raw("select * from dvd_rental.t where id = 1")
    synced.run("insert into t values (3), (4)", "delete from t where id = 2")
    sync = synced.sync_one(full_refresh=True)
    assert (sync.rows, sync.rows_before, sync.deleted, sync.tombstones) == (2, 1, 1, 2)
    (kept,) = synced.raw("select * from dvd_rental.t where id = 1")
    assert kept[-3:] == former[-3:]
    assert synced.raw("select name, _ab_cdc_deleted_at is not null from dvd_rental.t where id = 2") == [
        (None, True)
    ]
    # The next changes continue exactly after the copy.
    synced.run("insert into t values (1)", "insert into t values (2)")
    assert synced.sync_one().tombstones == 0


@pytest.mark.parametrize(
    "statement",
    [
        "vacuum full t",
        "cluster t using t_pkey",
        "alter table t alter name set default 'x'",
        "analyze t",
        "create index on t (name)",
    ],
)
def test_a_rewrite_that_changes_no_value_needs_no_copy(synced: Pair, statement: str) -> None:
    synced.run("insert into t values (5)", statement, "insert into t values (6)")
    assert synced.sync_one().mode == "changes"


def test_an_added_enum_label_is_streamed_and_a_renamed_one_copied(pair: Pair) -> None:
    pair.run(
        "create type mood as enum ('happy', 'sad')",
        "create table t (id int primary key, m mood)",
        "insert into t values (1, 'sad')",
    )
    pair.sync()
    pair.run("alter type mood add value 'fine' before 'sad'", "insert into t values (2, 'fine')")
    assert pair.sync_one().mode == "changes"
    pair.run("alter type mood rename value 'sad' to 'blue'")
    assert "label" in (pair.sync_one().reason or "")


def test_new_and_dropped_tables(synced: Pair) -> None:
    synced.run("create table u (id int primary key)", "insert into u values (1)", "insert into t values (9)")
    tables = synced.sync().tables
    assert (tables["t"].mode, tables["u"].mode, tables["u"].reason) == (
        "changes",
        "snapshot",
        "first sync of this table",
    )
    synced.run("drop table t", "insert into u values (2)")
    tables = synced.sync(tables={"t": ("id",), "u": ("id",)}).tables
    assert "no table public.t" in (tables["t"].error or "")
    assert tables["u"].rows == 2


def test_a_key_other_than_the_declared_one_is_reported(synced: Pair) -> None:
    (change,) = synced.sync_one(tables={"t": ("name",)}).schema_changes
    assert change == "the primary key is (id) in the source and (name) in the catalogue"


def test_generated_columns_are_left_out(pair: Pair) -> None:
    pair.run(
        "create table t (id int primary key, n int, twice int generated always as (n * 2) stored)",
        "insert into t values (1, 1)",
    )
    pair.sync()
    pair.run("insert into t values (2, 2)")
    assert pair.sync_one().mode == "changes"
