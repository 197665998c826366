"""For tables with a history, each state that a transaction committed is kept exactly once."""

from itertools import groupby

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLE = "create table t (id int primary key, a text, b text)"
HISTORY = {"t": ("a", "b")}
# A deletion counts as a state.
GONE = ("gone",)
State = tuple[str | None, ...]


def states(pair: Pair) -> dict[int, list[State]]:
    """The states of each row in LSN order; consecutive equal states count once."""
    found: dict[int, list[State]] = {}
    for key, a, b, is_deleted in pair.raw(
        "select id, a, b, _ab_cdc_deleted_at is not null from ("
        " select id, a, b, _ab_cdc_deleted_at, _ab_cdc_lsn from dvd_rental_past.t"
        " union all select id, a, b, _ab_cdc_deleted_at, _ab_cdc_lsn from dvd_rental.t"
        ") order by id, _ab_cdc_lsn"
    ):
        found.setdefault(key, []).append(GONE if is_deleted else (a, b))
    return {key: [state for state, _ in groupby(sequence)] for key, sequence in found.items()}


def test_every_committed_state_between_two_syncs_is_kept(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'first', null), (2, 'still', null)")
    pair.sync(history=HISTORY)
    pair.run("update t set a = 'second' where id = 1", "update t set a = 'third' where id = 1")
    pair.in_transaction("update t set a = 'never seen' where id = 1", "update t set a = 'fourth' where id = 1")
    pair.run("delete from t where id = 1", "insert into t values (1, 'back', null)")
    pair.sync(history=HISTORY)
    assert states(pair) == {
        1: [("first", None), ("second", None), ("third", None), ("fourth", None), GONE, ("back", None)],
        2: [("still", None)],
    }
    times = pair.raw("select _ab_cdc_updated_at from dvd_rental_past.t order by _ab_cdc_lsn")
    assert times == sorted(times)
    assert len(set(times)) == 5


def test_only_the_requested_columns_are_kept(pair: Pair) -> None:
    pair.run(
        "create table t (id int primary key, a text, secret text)",
        "insert into t values (1, 'x', 'password')",
        "create table other (id int primary key)",
    )
    pair.sync(history={"t": ("a",)})
    pair.run("update t set a = 'y', secret = 'another'")
    pair.sync(history={"t": ("a",)})
    columns = "select column_name from duckdb_columns() where schema_name = 'dvd_rental_past' order by 1"
    assert pair.raw(columns) == [
        ("_ab_cdc_deleted_at",), ("_ab_cdc_lsn",), ("_ab_cdc_updated_at",), ("a",), ("id",)
    ]  # fmt: skip


def test_a_full_refresh_keeps_what_it_replaces(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'old', null), (2, 'goes', null), (3, 'went', null)")
    pair.sync(history=HISTORY)
    pair.run("delete from t where id = 3")
    pair.sync(history=HISTORY)
    pair.run("update t set a = 'new' where id = 1", "delete from t where id = 2")
    pair.sync(history=HISTORY, full_refresh=True)
    assert states(pair) == {
        1: [("old", None), ("new", None)],
        2: [("goes", None), GONE],
        3: [("went", None), GONE],
    }


def test_kept_states_follow_the_types_of_the_source(pair: Pair) -> None:
    pair.run("create table t (id int primary key, a int, b text)", "insert into t values (1, 1, 'x')")
    pair.sync(history=HISTORY)
    # This rewrites the table in the source, and causes a copy.
    pair.run("alter table t alter a type bigint", "update t set a = 5000000000")
    pair.sync(history=HISTORY)
    pair.run("update t set a = 3", "alter table t drop column b", "update t set a = 4")
    pair.sync(history=HISTORY)
    assert pair.raw("select a, b from dvd_rental_past.t order by _ab_cdc_lsn") == [
        (1, "x"),
        (5_000_000_000, "x"),
        (3, None),
    ]
    pair.run("alter table t alter a type text using 'now ' || a", "update t set a = 'text'")
    pair.sync(history=HISTORY)
    assert ("5000000000",) in pair.raw("select a from dvd_rental_past.t")


def test_an_interrupted_sync_keeps_no_state_twice(pair: Pair) -> None:
    pair.run(TABLE, "insert into t values (1, 'a', null)")
    pair.sync(history=HISTORY)
    pair.run("update t set a = 'b'", "update t set a = 'c'")
    for step in (Step.BATCH_APPLIED, Step.BEFORE_COMMIT, Step.COMMITTED):
        pair.interrupt_at(step, history=HISTORY)
    pair.sync(history=HISTORY)
    assert pair.raw("select a from dvd_rental_past.t order by _ab_cdc_lsn") == [("a",), ("b",)]


def test_a_transaction_that_spans_batches_leaves_one_state(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.run(TABLE, "insert into t values (1, 'a', null)")
    pair.sync(history=HISTORY)
    monkeypatch.setattr(change_stream, "MAX_BATCH_CHANGES", 3)
    pair.in_transaction(
        "update t set a = 'unseen'", "insert into t values (2), (3)", "update t set a = 'b' where id = 1"
    )
    pair.run("update t set a = 'c' where id = 1")
    pair.sync(history=HISTORY)
    query = "select a from dvd_rental_past.t where id = 1 order by _ab_cdc_lsn"
    assert pair.raw(query) == [("a",), ("b",)]
    # The same with a TRUNCATE instead of the last update.
    pair.in_transaction(
        "update t set a = 'unseen'", "insert into t values (4), (5)", "update t set a = 'd' where id = 1"
    )
    pair.run("truncate t")
    pair.sync(history=HISTORY)
    assert pair.raw(query) == [("a",), ("b",), ("c",), ("d",)]


KEY = st.integers(1, 3)
# Long values are stored out of line: an update that does not change one does not log it.
VALUE = st.sampled_from(["null", "'a'", "'b'", "repeat('x', 9000)", "repeat('y', 9001)"])
STATEMENT = st.one_of(
    st.builds("insert into t values ({}, {}, {}) on conflict (id) do nothing".format, KEY, VALUE, VALUE),
    st.builds("update t set a = {} where id = {}".format, VALUE, KEY),
    st.builds("update t set b = {} where id = {}".format, VALUE, KEY),
    st.builds("delete from t where id = {}".format, KEY),
    st.builds(
        "update t set id = {1} where id = {0} and not exists (select from t where id = {1})".format, KEY, KEY
    ),
    st.just("truncate t"),
)
TRANSACTION = st.lists(STATEMENT, min_size=1, max_size=3)


@pytest.mark.slow
@settings(
    max_examples=25,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=st.lists(st.one_of(TRANSACTION, TRANSACTION, TRANSACTION, st.just("sync")), max_size=14),
    batch=st.sampled_from([1, 3, 100_000]),
)
def test_the_kept_states_are_the_committed_states(
    pair: Pair, history: list[list[str] | str], batch: int
) -> None:
    pair.run("drop table if exists t", TABLE, "insert into t values (1, 'a', repeat('x', 9000))")
    pair.warehouse.unlink(missing_ok=True)
    committed: dict[int, list[State]] = {1: [("a", "x" * 9000)]}
    whole = change_stream.MAX_BATCH_CHANGES
    change_stream.MAX_BATCH_CHANGES = batch
    try:
        pair.sync(history=HISTORY)
        for step in history:
            if isinstance(step, str):
                pair.sync(history=HISTORY)
                continue
            pair.in_transaction(*step)
            now = {key: (a, b) for key, a, b in pair.source.execute("select id, a, b from t")}
            for key in now.keys() | committed.keys():
                state = now.get(key, GONE)
                before = committed.setdefault(key, [])
                if not before or before[-1] != state:
                    before.append(state)
        pair.sync(history=HISTORY)
    finally:
        change_stream.MAX_BATCH_CHANGES = whole
    # A row inserted and deleted in one transaction leaves a tombstone, but was never visible.
    seen = {key: found[1:] if found[0] == GONE else found for key, found in states(pair).items()}
    assert {key: found for key, found in seen.items() if found} == committed
