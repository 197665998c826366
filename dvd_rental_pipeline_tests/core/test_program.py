"""How a program ends: after its output, threads and exit handlers, with the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Its output is still buffered when it ends, and it leaves a thread and an exit handler.
PROGRAM = """
import atexit, sys, threading, time
from dvd_rental_pipeline.core.program import run_program

def work():
    time.sleep(0.2)
    print("worked")

def program():
    print("answered")
    if {thread}:
        threading.Thread(target=work).start()
    atexit.register(lambda: open("handled", "w").close())
    {end}

run_program(program)
"""


def run(folder: Path, end: str, *, thread: bool = False) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", PROGRAM.format(end=end, thread=thread)]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("return", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('It cannot be done.')", 1, "It cannot be done."),
        ("raise ValueError('a fault')", 1, "ValueError: a fault"),
    ],
)
def test_a_program_ends_with_its_exit_code_after_exit_handlers(
    tmp_path: Path, end: str, code: int, message: str
) -> None:
    done = run(tmp_path, end)
    assert (done.returncode, done.stdout) == (code, "answered\n")
    assert done.stderr.splitlines()[-1:] == ([message] if message else [])
    assert (tmp_path / "handled").exists()


def test_a_program_ends_after_its_threads(tmp_path: Path) -> None:
    done = run(tmp_path, "sys.exit(2)", thread=True)
    assert (done.returncode, done.stdout.split(), done.stderr) == (2, ["answered", "worked"], "")
    assert (tmp_path / "handled").exists()


def test_a_command_whose_reader_has_gone_fails_quietly(tmp_path: Path) -> None:
    """As `dvd-rental reports | true` does, once the pipe is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "dvd_rental_pipeline.cli.main", "--version"],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")
