"""After any history of changes, with syncs and crashes anywhere in it, raw tables equal their sources."""

import contextlib
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Interrupted, Pair

ID = st.integers(1, 6)
TABLE = st.sampled_from(["t", "u"])
# 'b' is stored out of line: an update that does not change it does not log it.
BIG = st.sampled_from(["null", "''", "'short'", "repeat('x', 9000)", "repeat('y', 9001)"])
SMALL = st.sampled_from(["null", "''", "'a'", "'b'"])

INSERT = st.builds(
    "insert into {} (id, a, b) values ({}, {}, {}) on conflict do nothing".format, TABLE, ID, SMALL, BIG
)
UPDATE = st.builds("update {} set a = {} where id = {}".format, TABLE, SMALL, ID)
UPDATE_ALL = st.builds("update {} set a = {}, b = {} where id <= {}".format, TABLE, SMALL, BIG, ID)
MOVE = st.builds(
    "update {0} set id = {2} where id = {1} and not exists (select from {0} where id = {2})".format,
    TABLE,
    ID,
    ID,
)
SHIFT = st.builds("update {} set id = id + 10 where id >= {} and id < 10".format, TABLE, ID)
REKEY = st.builds("update {} set k = {} where id = {}".format, TABLE, st.sampled_from(["'k'", "'l'"]), ID)
DELETE = st.builds("delete from {} where id = {}".format, TABLE, ID)
TRUNCATE = st.sampled_from(["truncate t", "truncate u", "truncate t, u restart identity"])
DML = st.one_of(INSERT, INSERT, UPDATE, UPDATE_ALL, MOVE, SHIFT, REKEY, DELETE)
ADDED = st.sampled_from(["int", "int default 7", "text default md5(random()::text)", "varchar(5)"])
DDL = st.one_of(
    st.builds("alter table {} add column if not exists {} {}".format, TABLE, st.sampled_from("xy"), ADDED),
    st.builds("alter table {} drop column if exists {}".format, TABLE, st.sampled_from("xya")),
    st.builds("alter table {} add column if not exists a text".format, TABLE),
    st.builds("alter table {} alter a type text using 'changed'".format, TABLE),
    st.builds("alter table {} alter a type varchar(20)".format, TABLE),
    st.builds("alter table {} rename a to x".format, TABLE),
    st.builds("alter table {} rename x to a".format, TABLE),
    st.builds("vacuum full {}".format, TABLE),
    st.builds("alter table {} replica identity {}".format, TABLE, st.sampled_from(["full", "default"])),
)


def transaction(statements: list[str], ending: str) -> list[str]:
    """One transaction, whose second half is rolled back to a savepoint if `ending` is "half"."""
    middle = len(statements) // 2
    return [
        "begin",
        *statements[:middle],
        "savepoint s",
        *statements[middle:],
        *(["rollback to s"] if ending == "half" else []),
        "rollback" if ending == "rollback" else "commit",
    ]


# A second session, whose transaction may stay open during statements of the first one, including syncs.
OTHER = "other: "
BEGUN = st.builds(
    lambda statements: [OTHER + "begin", *(OTHER + statement for statement in statements)],
    st.lists(DML | TRUNCATE, min_size=1, max_size=3),
)
ENDED = st.sampled_from([[OTHER + "commit"], [OTHER + "rollback"]])
EVENT = st.one_of(
    st.builds(lambda statement: [statement], DML),
    st.builds(lambda statement: [statement], DML),
    st.builds(lambda statement: [statement], DDL | TRUNCATE),
    st.builds(
        transaction,
        st.lists(DML | TRUNCATE, min_size=1, max_size=5),
        st.sampled_from(["commit", "half", "rollback"]),
    ),
    BEGUN,
    ENDED,
    st.just(["sync"]),
    st.sampled_from([[f"crash {step}"] for step in Step]),
)
HISTORY = st.lists(EVENT, min_size=5, max_size=30)


# The primary keys of the two tables.
KEYS = st.tuples(*[st.sampled_from(["id", "id, k", "k, id"])] * 2)


class HistoryPlayer:
    """Executes a history on a pair."""

    def __init__(self, pair: Pair, other: psycopg.Connection) -> None:
        self._pair = pair
        self._other = other
        for session in (pair.source, other):
            # The two sessions may block each other: then one of them fails.
            session.execute("set lock_timeout = '50ms'")

    def play(self, history: list[list[str]], keys: tuple[str, str]) -> None:
        for name, key in zip(("t", "u"), keys, strict=True):
            self._pair.run(f"drop table if exists {name}")
            self._pair.run(
                f"create table {name} (id int, k text default 'k', a text, b text, primary key ({key}))"
            )
            self._pair.run(f"alter table {name} alter b set storage external")
        for event in history:
            try:
                for statement in event:
                    self._step(statement)
            except psycopg.Error:
                # Some statements fail at some points of a history (an unknown column, a duplicate key, a lock).
                self._pair.run("rollback")
                if self._other.info.transaction_status == TransactionStatus.INERROR:
                    self._other.execute("rollback")
        self._other.execute("commit")
        self._sync()

    def _step(self, statement: str) -> None:
        if statement == "sync":
            self._sync()
        elif statement.startswith("crash "):
            self._crash(statement.removeprefix("crash "))
        elif statement.startswith(OTHER):
            self._other.execute(statement.removeprefix(OTHER))
        else:
            self._pair.run(statement)

    def _sync(self) -> None:
        """Sync, and require both the oracle and the project's own comparison to agree."""
        if self._other.info.transaction_status == TransactionStatus.IDLE:
            self._pair.sync()
            differing = [result for result in self._pair.verify().values() if not result.agrees]
            assert differing == []
            return
        try:
            # The open transaction may have locked the tables, which then cannot be compared.
            self._pair.replicator(wait_seconds=0.3).sync()
        except ReplicationError as error:
            # A copy cannot start while a transaction is open.
            if "stayed open" not in str(error) and "locked" not in str(error):
                raise

    def _crash(self, step: str) -> None:
        def interrupt(at: Step) -> None:
            if at == step:
                raise Interrupted

        with contextlib.suppress(Interrupted, ReplicationError):
            self._pair.replicator(on_step=interrupt, wait_seconds=0.3).sync()


def check(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[str]],
    keys: tuple[str, str],
    batch: int,
) -> None:
    warehouse = tmp_path_factory.mktemp("history") / "warehouse.duckdb"
    with (
        Pair.connected(database_url, warehouse) as pair,
        psycopg.connect(database_url, autocommit=True) as other,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(change_stream, "MAX_BATCH_CHANGES", batch)
        try:
            HistoryPlayer(pair, other).play(history, keys)
        finally:
            other.execute("rollback")
            pair.run("rollback", f"drop publication if exists {pair.slot}")
            pair.run(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                f" where slot_name = '{pair.slot}'"
            )


OPTIONS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
}


# The size of a batch.
BATCH_CHANGES = st.sampled_from([3, 100_000])


@settings(max_examples=8, derandomize=True, phases=[Phase.generate], **OPTIONS)
@given(history=HISTORY, keys=KEYS, batch=BATCH_CHANGES)
def test_some_histories(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[str]],
    keys: tuple[str, str],
    batch: int,
) -> None:
    check(database_url, tmp_path_factory, history, keys, batch)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@settings(max_examples=200, **OPTIONS)
@given(history=HISTORY, keys=KEYS, batch=BATCH_CHANGES)
def test_many_histories(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[str]],
    keys: tuple[str, str],
    batch: int,
) -> None:
    check(database_url, tmp_path_factory, history, keys, batch)
