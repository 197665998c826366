"""One process at a time writes the warehouse; whoever comes second waits, and is told."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import duckdb
import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.warehouse.duckdb_file import WarehouseError, open_duckdb
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("create or replace table answers as select 42 as answer")
print("held", flush=True)
sys.stdin.readline()
"""
HOLD_LOCK = """
import sys
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse
with DuckDBWarehouse(path=sys.argv[1]).writing(print):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Holder:
    """Another process that runs `script` on the warehouse, holds it, and lets go when told."""

    def __init__(self, script: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def test_a_reader_waits_for_a_writer_and_is_told_once(path: Path) -> None:
    holder = Holder(HOLD, path)
    told: list[str] = []
    threading.Timer(0.5, holder.let_go).start()
    with open_duckdb(path, read_only=True, wait_seconds=20, on_wait=told.append) as connection:
        assert connection.execute("select answer from answers").fetchall() == [(42,)]
    assert len(told) == 1
    assert str(path) in told[0]


def test_waiting_has_an_end_that_says_what_to_do(path: Path) -> None:
    holder = Holder(HOLD, path)
    with (
        pytest.raises(WarehouseError, match=r"in use by another process.*try again"),
        open_duckdb(path, wait_seconds=0.2),
    ):
        pass
    holder.kill()


def test_no_warehouse_yet_says_which_command_fills_it(path: Path) -> None:
    with pytest.raises(WarehouseError, match="dvd-rental run"), open_duckdb(path, read_only=True):
        pass
    assert not path.exists()


def test_a_file_of_something_else_is_named(path: Path) -> None:
    path.write_bytes(b"this is no database, but it is long enough to look at\n" * 200)
    with pytest.raises(WarehouseError, match=str(path)), open_duckdb(path):
        pass


@pytest.fixture
def warehouse(path: Path) -> DuckDBWarehouse:
    with duckdb.connect(path) as connection:
        connection.execute("create table answers as select 42 as answer")
    return DuckDBWarehouse(path=str(path))


def test_a_question_is_answered(warehouse: DuckDBWarehouse) -> None:
    assert warehouse.query("select answer from answers").records() == [{"answer": 42}]


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
def test_what_is_not_a_question_is_refused(
    warehouse: DuckDBWarehouse, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WarehouseError, match="refused"):
        warehouse.query(statement)
    assert sorted(tmp_path.iterdir()) == before
    assert warehouse.query("select count(*) as n from answers").records() == [{"n": 1}]


def test_writers_take_turns_across_processes(path: Path) -> None:
    holder = Holder(HOLD_LOCK, path)
    told: list[str] = []
    threading.Timer(0.5, holder.let_go).start()
    with DuckDBWarehouse(path=str(path)).writing(told.append):
        assert holder.process.wait(timeout=10) == 0
    assert len(told) == 1


def test_a_killed_writer_blocks_nobody(path: Path) -> None:
    Holder(HOLD_LOCK, path).kill()
    told: list[str] = []
    with DuckDBWarehouse(path=str(path)).writing(told.append):
        assert told == []


def test_a_home_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(PipelineError, match="DVD_RENTAL_HOME"),
        DuckDBWarehouse(path=str(tmp_path / "file" / "warehouse.duckdb")).writing(print),
    ):
        pass


ASK_FOR_LONG = """
import sys
from pathlib import Path
from dvd_rental_pipeline.warehouse.duckdb_file import open_beside_duckdb, open_duckdb

path = Path(sys.argv[1])
with open_beside_duckdb(path, "there") if sys.argv[2:] else open_duckdb(path) as connection:
    print("begun", flush=True)
    connection.execute("select max(a.range * b.range) from range(1000000) a, range(1000) b")
"""


@pytest.mark.parametrize("beside", [[], ["beside"]], ids=["alone", "beside"])
def test_an_interrupt_remains_one_while_duckdb_works(path: Path, beside: list[str]) -> None:
    duckdb.connect(path).close()
    process = subprocess.Popen(
        [sys.executable, "-c", ASK_FOR_LONG, path, *beside], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT
    assert told.splitlines()[-1] == b"KeyboardInterrupt"
