"""Fill a source database from a dump."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.required_tables import RequiredTables
from dvd_rental_pipeline.sample.restore.dump import Dump, Format, open_dump
from dvd_rental_pipeline.sample.restore.sql_script import filter_statements
from dvd_rental_pipeline.sample.staged_database import staged_database

_PROGRESS_BYTES = 16 << 20
_SHOWN_ERROR_LINES = 3


def restore(
    url: str, path: Path, tables: RequiredTables, on_progress: Callable[[str], None] | None = None
) -> dict[str, int]:
    """Replace the database that `url` names by the dump at `path`; return the number of rows by table.

    Accepts pg_dump's tar, custom and directory formats, and plain SQL with COPY blocks or inserts, also within
    a zip or gzip. Owners and privileges are ignored; further tables and columns are kept. A dump is a program:
    it runs with the rights of the user of `url`, so restore only dumps that you trust. Statements on databases
    are left out, and psql commands refused.

    Raises:
        SourceError: the file does not exist, is not a dump, is damaged, or lacks some of `tables`, or the
            database cannot be replaced. The old data are then unchanged.
    """
    report = on_progress or (lambda _: None)
    report(f"Reading {path}")
    with open_dump(path) as dump, staged_database(url, tables) as staged_url:
        with _open_script(dump, path) as script:
            _run(script, staged_url, path, report)
        with psycopg.connect(staged_url, autocommit=True) as connection:
            connection.execute("analyze")
        return tables.row_counts(staged_url)


@contextmanager
def _open_script(dump: Dump, path: Path) -> Iterator[IO[bytes]]:
    """Yield the dump as SQL, so that the same statements are left out of every format."""
    if dump.format is Format.SQL:
        with dump.path.open("rb") as script:
            yield script
        return
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            [PostgresBinaries.find().pg_restore, "--no-owner", "--no-privileges", "--file=-", dump.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
    ):
        try:
            yield _require_pipe(process.stdout)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            raise _failure(path, errors)


def _run(script: IO[bytes], url: str, path: Path, report: Callable[[str], None]) -> None:
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            # Within a transaction no statement can create or drop a database, in whatever form.
            [
                *(PostgresBinaries.find().psql, "--no-psqlrc", "--quiet", "--single-transaction"),
                *("--set", "ON_ERROR_STOP=1", "--file", "-"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_psql_environment(url),
        ) as process,
    ):
        try:
            lines = filter_statements(script, str(path))
            complete = _write(_require_pipe(process.stdin), lines, path, report)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0 or not complete:
            raise _failure(path, errors)


def _write(pipe: IO[bytes], lines: Iterable[bytes], path: Path, report: Callable[[str], None]) -> bool:
    """Write the script to psql; return False if psql ended early."""
    written = reported = 0
    report(f"Restoring {path}")
    try:
        with pipe:
            for line in lines:
                pipe.write(line)
                written += len(line)
                if written - reported >= _PROGRESS_BYTES:
                    reported = written
                    report(f"Restoring {path}: {written >> 20:,} MB of SQL")
    except BrokenPipeError:
        return False
    return True


def _require_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise SourceError("A PostgreSQL program was started without a pipe.")
    return pipe


def _psql_environment(url: str) -> dict[str, str]:
    """Return libpq's environment variables for `url`: the list of processes then shows no password."""
    variables = {
        "host": "PGHOST",
        "hostaddr": "PGHOSTADDR",
        "port": "PGPORT",
        "user": "PGUSER",
        "dbname": "PGDATABASE",
        "password": "PGPASSWORD",
        "passfile": "PGPASSFILE",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "sslcert": "PGSSLCERT",
        "sslkey": "PGSSLKEY",
        "options": "PGOPTIONS",
    }
    given = {variables[key]: str(value) for key, value in conninfo_to_dict(url).items() if key in variables}
    return {**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C", **given}


def _failure(path: Path, stderr: IO[bytes]) -> SourceError:
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()] or lines
    shown = "\n  ".join(errors[:_SHOWN_ERROR_LINES]) or "it ended without a message"
    return SourceError(
        f"{path} cannot be restored: it is damaged, truncated, or of a newer PostgreSQL. The existing data are "
        f"unchanged. PostgreSQL reports:\n  {shown}"
    )
