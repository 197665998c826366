"""One process at a time opens the DuckDB file; others wait for it in turn, within a limit."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from dvd_rental_pipeline.warehouse.duckdb_file import is_awaited, open_duckdb
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline_tests.warehouse.holder import Holder

KEEP_FILE_OPEN = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("create or replace table answers as select 42 as answer")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def test_a_reader_waits_for_a_writer_and_reports_it_once(path: Path) -> None:
    holder = Holder(KEEP_FILE_OPEN, path)
    messages: list[str] = []
    threading.Timer(0.5, holder.release).start()
    with open_duckdb(path, read_only=True, wait_seconds=20, on_wait=messages.append) as connection:
        assert connection.execute("select answer from answers").fetchall() == [(42,)]
    assert len(messages) == 1
    assert str(path) in messages[0]


def test_waiting_is_limited_and_the_error_says_what_to_do(path: Path) -> None:
    holder = Holder(KEEP_FILE_OPEN, path)
    with (
        pytest.raises(WarehouseError, match=r"in use by another process.*try again"),
        open_duckdb(path, wait_seconds=0.2),
    ):
        pass
    holder.kill()


def test_a_waiting_process_is_visible_to_the_one_that_has_the_file_open(path: Path) -> None:
    holder = Holder(KEEP_FILE_OPEN, path)
    assert not is_awaited(path)
    waiting = threading.Event()
    messages: list[str] = []

    def read() -> None:
        with open_duckdb(path, read_only=True, on_wait=messages.append):
            waiting.set()

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 20
    while not is_awaited(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_awaited(path)
    assert not waiting.is_set()
    holder.release()
    reader.join(20)
    assert waiting.is_set()
    assert not is_awaited(path)


def test_a_killed_process_leaves_the_queue(path: Path) -> None:
    holder = Holder(KEEP_FILE_OPEN, path)
    waiter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; "
            "from dvd_rental_pipeline.warehouse.duckdb_file import hold_duckdb; "
            "hold_duckdb(Path(sys.argv[1]))",
            path,
        ]
    )
    deadline = time.monotonic() + 20
    while not is_awaited(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_awaited(path)
    waiter.kill()
    waiter.wait()
    assert not is_awaited(path)
    holder.kill()


def test_a_missing_warehouse_names_the_command_that_creates_it(path: Path) -> None:
    with pytest.raises(WarehouseError, match="dvd-rental run"), open_duckdb(path, read_only=True):
        pass
    assert not path.exists()


def test_a_file_of_another_format_is_named(path: Path) -> None:
    path.write_bytes(b"this is not a database, but it is long enough to have a header\n" * 200)
    with pytest.raises(WarehouseError, match=str(path)), open_duckdb(path):
        pass


LONG_QUERY = """
import sys
from pathlib import Path
from dvd_rental_pipeline.warehouse.duckdb_file import open_beside_duckdb, open_duckdb

path = Path(sys.argv[1])
with open_beside_duckdb(path, "attached") if sys.argv[2:] else open_duckdb(path) as connection:
    print("started", flush=True)
    connection.execute("select max(a.range * b.range) from range(1000000) a, range(300) b")
"""


@pytest.mark.parametrize("attached", [[], ["attached"]], ids=["opened", "attached"])
def test_an_interrupt_during_a_query_is_a_keyboard_interrupt(path: Path, attached: list[str]) -> None:
    duckdb.connect(path).close()
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_QUERY, path, *attached], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT
    assert stderr.splitlines()[-1] == b"KeyboardInterrupt"
