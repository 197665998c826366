"""After a sync is killed (SIGKILL) at any instant, the next one leaves no change lost, repeated or partial."""

import itertools
import random
from dataclasses import replace

import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.killed_sync import (
    SyncExit,
    SyncTask,
    killed_after,
    killed_at,
    run,
)
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

SCENARIOS = ("first sync", "full refresh", "changes", "changes beside a copy")
FEW, MANY = 3, 64
SCHEMA = (
    "create table t (id int primary key, name text, big text)",
    "alter table t alter big set storage external",
    "create table u (a int, b text, amount numeric(9, 2), primary key (a, b))",
    "create table drifting (id int primary key, note text)",
    "create table few (id int primary key)",
    "insert into t select n, 'name ' || n, case when n % 50 = 0 then repeat(n::text, 3000) end"
    " from generate_series(1, 4000) n",
    "insert into u select n, 'b' || n % 7, n / 3.0 from generate_series(1, 4000) n",
    "insert into drifting select n, 'note' from generate_series(1, 500) n",
    "insert into few values (1), (2)",
)


class Matrix:
    """A pair whose syncs are killed repeatedly; the changes of each round depend only on its number."""

    def __init__(self, pair: Pair, scenario: str) -> None:
        self._pair = pair
        self.scenario = scenario
        self._rounds = itertools.count(1)
        pair.run(*SCHEMA)
        self._history = {"t": ("name",)}
        self.task = SyncTask(pair.url, pair.warehouse, pair.keys(), pair.slot, self._history)
        if scenario == "full refresh":
            self.task = replace(self.task, full_refresh=True)
        pair.sync(history=self._history)

    def prepare(self) -> None:
        """Make changes for the next sync."""
        number = next(self._rounds)
        if self.scenario == "first sync":
            for file in self._pair.warehouse.parent.glob(f"{self._pair.warehouse.name}*"):
                file.unlink()
        if self.scenario == "changes beside a copy":
            self._pair.run(
                "alter table drifting drop column if exists extra",
                f"alter table drifting add column extra int default {number}",
            )
        self._change(number * 10_000)

    def require_recovery(self) -> None:
        """After more changes and another sync, both comparisons agree: the project's own and the oracle's."""
        self._change(next(self._rounds) * 10_000, some=40)
        self._pair.sync(history=self._history)
        differing = {name: result for name, result in self._pair.verify().items() if not result.agrees}
        assert differing == {}
        duplicate_keys = self._pair.raw(
            "select id, _ab_cdc_lsn from (select id, _ab_cdc_lsn from dvd_rental_past.t"
            " union all select id, _ab_cdc_lsn from dvd_rental.t) group by all having count(*) > 1"
        )
        assert duplicate_keys == []

    def _change(self, base: int, some: int = 400) -> None:
        self._pair.in_transaction(
            f"insert into t select {base} + n, 'new', repeat('z', 2500) from generate_series(1, {some}) n",
            f"update t set name = name || '!' where id between 1 and {some}",
            f"update t set big = repeat('y', 2600) where id between {base} and {base} + 20",
            "savepoint s",
            "delete from t",
            "rollback to s",
        )
        self._pair.run(
            f"update t set id = -id where id between {base} + 10 and {base} + 60",
            f"delete from t where id between {base - 10_000} and {base - 10_000} + {some // 2}",
            f"insert into u select {base} + n, 'b', n from generate_series(1, {some // 2}) n",
            f"update u set b = b || 'x' where a between {base} and {base} + 50",
            f"update drifting set note = 'note {base}' where id <= {some // 4}",
        )
        self._pair.in_transaction(
            "truncate few", f"insert into few select {base} + n from generate_series(1, 30) n"
        )


@pytest.fixture
def matrix(pair: Pair, request: pytest.FixtureRequest) -> Matrix:
    return Matrix(pair, request.param)


def kill_repeatedly(matrix: Matrix, instants: int, seed: int) -> list[SyncExit]:
    """Kill syncs at instants spread over their duration, and require recovery after each."""
    generator = random.Random(seed)
    durations = []
    for _ in range(3):
        matrix.prepare()
        durations.append(run(matrix.task).seconds)
    duration = sorted(durations)[1]
    outcomes = []
    for instant in range(instants):
        matrix.prepare()
        # One random instant in each of `instants` equal parts of the duration.
        outcomes.append(killed_after(matrix.task, duration * (instant + generator.random()) / instants))
        matrix.require_recovery()
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize(
    "matrix",
    SCENARIOS,
    indirect=True,
)
def test_the_next_sync_recovers_from_a_kill_at_some_instants(matrix: Matrix) -> None:
    assert any(outcome.killed for outcome in kill_repeatedly(matrix, FEW, seed=1))


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("matrix", SCENARIOS, indirect=True)
def test_the_next_sync_recovers_from_a_kill_at_many_instants(
    matrix: Matrix, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    outcomes = kill_repeatedly(matrix, MANY, seed)
    killed = sum(outcome.killed for outcome in outcomes)
    with capsys.disabled():
        print(f"\nseed {seed}: {killed} of {MANY} syncs killed, the others had ended before")
    # On a shared machine, a sync may be twice as fast as those that were timed.
    assert killed >= MANY // 4


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(
            scenario, marks=pytest.mark.slow if scenario == "changes beside a copy" else pytest.mark.heavy
        )
        for scenario in SCENARIOS
    ],
    indirect=True,
)
def test_the_next_sync_recovers_from_a_kill_at_any_step(matrix: Matrix) -> None:
    reached = set()
    for step in Step:
        matrix.prepare()
        if killed_at(matrix.task, step, occurrence=2 if step is Step.BATCH_APPLIED else 1).killed:
            reached.add(step)
            matrix.require_recovery()
    copies = {Step.SLOT_CREATED, Step.TABLE_COPIED}
    always = {Step.BEFORE_COMMIT, Step.COMMITTED, Step.ADVANCED}
    expected = {
        "first sync": copies | always,
        "full refresh": copies | always,
        "changes": {Step.BATCH_APPLIED} | always,
        "changes beside a copy": set(Step),
    }
    assert reached == expected[matrix.scenario]
