"""What is particular to the DuckDB warehouse: locks between processes, queries that touch no other file."""

import threading
from pathlib import Path

import duckdb
import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline_tests.warehouse.holder import Holder

HOLD_LOCK = """
import sys
from pathlib import Path
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
with DuckDBWarehouse(Path(sys.argv[1])).lock(["films"], print):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("create table answers as select 42 as answer")
    return DuckDBWarehouse(path)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table answers",
        "insert into answers values (1)",
        "create table more (a int)",
        "copy answers to 'stolen.csv'",
        "select * from read_csv('/etc/passwd')",
        "attach 'other.duckdb'",
        "set enable_external_access = true",
        "this is not sql",
    ],
)
def test_a_query_that_is_not_read_only_is_rejected(
    warehouse: DuckDBWarehouse, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WarehouseError, match="rejected"):
        warehouse.query(statement)
    assert sorted(tmp_path.iterdir()) == before
    assert warehouse.query("select count(*) as n from answers").records() == [{"n": 1}]


def test_writers_of_the_same_tables_take_turns_across_processes(warehouse: DuckDBWarehouse) -> None:
    holder = Holder(HOLD_LOCK, warehouse.path)
    messages: list[str] = []
    threading.Timer(0.5, holder.release).start()
    with warehouse.lock(["films"], messages.append):
        assert holder.process.wait(timeout=10) == 0
    assert len(messages) == 1
    assert "films" in messages[0]


def test_writers_of_different_tables_do_not_wait_for_each_other(warehouse: DuckDBWarehouse) -> None:
    holder = Holder(HOLD_LOCK, warehouse.path)
    messages: list[str] = []
    with warehouse.lock(["sales"], messages.append), warehouse.transaction() as session:
        session.execute("insert into answers values (43)")
    assert holder.process.poll() is None
    assert messages == []
    holder.kill()


def test_a_killed_writer_releases_its_lock(warehouse: DuckDBWarehouse) -> None:
    Holder(HOLD_LOCK, warehouse.path).kill()
    messages: list[str] = []
    with warehouse.lock(["films"], messages.append):
        assert messages == []


def test_several_schemas_are_locked_in_one_order(warehouse: DuckDBWarehouse) -> None:
    order: list[str] = []

    def hold(*schemas: str) -> None:
        for _ in range(20):
            with warehouse.lock(schemas, lambda _: None):
                order.append(schemas[0])

    threads = [threading.Thread(target=hold, args=names) for names in (("films", "sales"), ("sales", "films"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(order) == 40


def test_a_timeout_inside_a_lock_is_not_taken_for_a_timeout_of_the_lock(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(TimeoutError, match="of the step"), warehouse.lock(["films"], print):
        raise TimeoutError("of the step")


def test_a_home_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warehouse = DuckDBWarehouse(tmp_path / "file" / "warehouse.duckdb")
    with pytest.raises(PipelineError, match="DVD_RENTAL_HOME"), warehouse.lock(["films"], print):
        pass
    with pytest.raises(PipelineError, match="DVD_RENTAL_HOME"), warehouse.transaction():
        pass


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "There is no statement"),
        ("  ;; -- nothing", "There is no statement"),
        ("select 1; select 2", "There are 2 statements"),
        ("selec 1", "rejected the statement"),
    ],
)
def test_a_query_is_exactly_one_statement(tmp_path: Path, sql: str, message: str) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(path).close()
    with pytest.raises(WarehouseError, match=message):
        DuckDBWarehouse(path).query(sql)
