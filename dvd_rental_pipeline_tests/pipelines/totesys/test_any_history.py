"""After any history of changes, late commits and crashes: the current rows equal the source, nothing twice."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.pipelines.totesys.comparison import compare_processed
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedZone
from dvd_rental_pipeline.pipelines.totesys.rules import FACTS
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBSession, DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import IncomingRows, TableName
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps

CURRENT = """
    select {columns} from totesys.{fact} where {record_id} in (
        select max({record_id}) from totesys.{fact} group by {key}
    ) and {key} not in (select row_id from totesys_lake.deleted_row where table_name = '{fact}')
    order by {key}
"""


class CrashError(Exception):
    """The process ended here."""


@dataclass
class Countdown:
    """Raises at the write with this number, counted from 0; never if there are fewer."""

    left: int = 10**9

    def write(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CrashError


@dataclass(frozen=True)
class CrashingStore(FolderStore):
    countdown: Countdown = field(default_factory=Countdown)

    def put_new(self, key: str, file: Path) -> None:
        self.countdown.write()
        super().put_new(key, file)

    def replace(self, key: str, file: Path) -> None:
        self.countdown.write()
        super().replace(key, file)


@dataclass(frozen=True)
class CrashingWarehouse(DuckDBWarehouse):
    countdown: Countdown = field(default_factory=Countdown)

    def transaction(self) -> AbstractContextManager[DuckDBSession]:
        self.countdown.write()
        return super().transaction()

    def load_all(self, incoming: Mapping[TableName, IncomingRows]) -> Mapping[TableName, int]:
        self.countdown.write()
        return super().load_all(incoming)


@dataclass(frozen=True)
class Run:
    """A run of the three steps, which crashes at a write of each step."""

    complete: bool
    crashes: Sequence[int]


HISTORIES = st.lists(
    st.one_of(
        st.integers(0, 10**6).map(lambda seed: ("traffic", seed)),
        st.just(("late insert", 0)),
        st.just(("late commit", 0)),
        st.builds(Run, st.booleans(), st.lists(st.integers(0, 30), max_size=3)),
    ),
    min_size=2,
    max_size=7,
)


@pytest.fixture
def late_sessions(source_url: str) -> Iterator[Callable[[], psycopg.Connection]]:
    with ExitStack() as sessions:
        yield lambda: sessions.enter_context(psycopg.connect(source_url))


@pytest.mark.slow
@settings(
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
def test_current_rows_equal_the_source_and_each_version_is_there_once(
    history: Collection[Any], source_url: str, late_sessions: Callable[[], psycopg.Connection]
) -> None:
    with TemporaryDirectory() as folder:
        countdown = Countdown()
        steps = Steps(
            source_url,
            LandingZone(CrashingStore(Path(folder, "landing"), countdown), "totesys"),
            ProcessedZone(CrashingStore(Path(folder, "processed"), countdown), "totesys"),
            CrashingWarehouse(Path(folder, "warehouse.duckdb"), countdown=countdown),
        )
        late: list[psycopg.Connection] = []
        for number, event in enumerate(history):
            if isinstance(event, Run):
                run(steps, countdown, event)
            elif event[0] == "traffic":
                simulate(source_url, events=8, seed=event[1])
            elif event[0] == "late insert":
                late.append(late_sessions())
                late[-1].execute(
                    "insert into design (design_name, file_location, file_name, last_updated) values"
                    " ('Late', '/', %s, timezone('UTC', clock_timestamp()))",
                    [f"{number}.json"],
                )
            elif late:
                late.pop(0).commit()
        for session in late:
            session.commit()
        # Without a complete comparison, late commits are there, and what is deleted is still shown.
        run(steps, countdown, Run(complete=False, crashes=[]))
        same(steps, "select design_id, file_name from totesys.dim_design order by 1",
             "select design_id, file_name from design order by 1")  # fmt: skip
        run(steps, countdown, Run(complete=True, crashes=[]))
        assert_equal(steps)


def run(steps: Steps, countdown: Countdown, event: Run) -> None:
    for number, step in enumerate((lambda: steps.ingest(event.complete), steps.transform, steps.load)):
        countdown.left = event.crashes[number] if number < len(event.crashes) else 10**9
        try:
            step()
        except CrashError:
            continue
        finally:
            countdown.left = 10**9


def assert_equal(steps: Steps) -> None:
    facts = {
        "fact_sales_order": "units_sold, unit_price, design_id, sales_staff_id",
        "fact_payment": "payment_amount, paid, transaction_id",
        "fact_purchase_orders": "item_quantity, item_unit_price",
    }
    for table in STAR:
        if table.is_fact:
            columns, source = facts[table.name], table.source
            valid = valid_dates(FACTS[table.name].dates)
            keys = steps.source(f"select {table.key} from {source} where {valid}")
            current = {
                row[0]: tuple(map(str, row))
                for row in steps.query(
                    CURRENT.format(
                        columns=f"{table.key}, {columns}",
                        fact=table.name,
                        record_id=table.record_id,
                        key=table.key,
                    )
                )
            }
            expected = steps.source(
                f"select {table.key}, {columns.replace('sales_staff_id', 'staff_id')} from {source}"
                f" where {valid} order by 1"
            )
            assert {key: current.get(key) for (key,) in keys} == {
                row[0]: tuple(map(str, row)) for row in expected
            }, table.name
            existing = {row[0] for row in steps.source(f"select {table.key} from {source}")}
            assert current.keys() <= existing, table.name
        version = ", ".join(table.version)
        repeated = f"select {version} from totesys.{table.name} group by {version} having count(*) > 1"
        assert steps.query(repeated) == [], table.name
    same(
        steps,
        "select transaction_id, sales_order_id from totesys.dim_transaction order by 1",
        "select transaction_id, sales_order_id from transaction order by 1",
    )
    same(
        steps,
        "select staff_id, department_name from totesys.dim_staff order by 1",
        "select staff_id, department_name from staff join department using (department_id) order by 1",
    )
    for compared in compare_processed(steps.landing, steps.processed):
        assert (compared.missing, compared.unexpected) == (0, 0), compared.table
    processed = steps.processed.runs()
    for table in STAR:
        if table.is_fact:
            landed = sum(run.rows(table.name) for run in processed)
            assert steps.query(f"select count(*) from totesys.{table.name}") == [(landed,)], table.name


def valid_dates(columns: Sequence[str]) -> str:
    """A condition in the source: none of the malformed dates of the traffic."""
    return " and ".join(rf"{column} ~ '^\d{{4}}-\d\d-\d\d$' and {column} !~ '-02-30$'" for column in columns)


def same(steps: Steps, warehouse: str, source: str) -> None:
    assert [tuple(row) for row in steps.query(warehouse)] == steps.source(source)
