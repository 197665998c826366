"""Fills the source database from a dump of the user's own."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.database import row_counts, staged_database
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.restore.dump import Dump, Format, opened
from dvd_rental_pipeline.sample.restore.sql_script import harmless_lines

_TELL_EVERY_BYTES = 16 << 20
_SHOWN_ERROR_LINES = 3


def restore(url: str, path: Path, progress: Callable[[str], None] | None = None) -> dict[str, int]:
    """Replace the database that `url` names by the dump at `path`; returns the rows of the 15 tables.

    Takes pg_dump's tar, custom and directory formats, and plain SQL with COPY blocks or inserts, also within a
    zip or a gzip. Owners and privileges are ignored; tables and columns beyond the 15 tables are kept. A dump
    is a program: it runs with the rights of the user of `url`, so restore only what you trust. Statements of a
    plain dump that would touch other databases are left out, and psql commands refused.

    Raises:
        SourceError: there is no such file, it is not a dump, it is damaged, it is of another database, or the
            database cannot be replaced. The old data then stay.
    """
    tell = progress or (lambda _: None)
    tell(f"Reading {path}")
    with opened(path) as dump, staged_database(url) as aside:
        with _script(dump, path) as script:
            _run(script, aside, path, tell)
        with psycopg.connect(aside, autocommit=True) as connection:
            connection.execute("analyze")
        return row_counts(aside)


@contextmanager
def _script(dump: Dump, path: Path) -> Iterator[IO[bytes]]:
    """The dump as SQL, so that of every format the same things can be left out."""
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
            yield _present(process.stdout)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            raise _failure(path, errors)


def _run(script: IO[bytes], aside: str, path: Path, tell: Callable[[str], None]) -> None:
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            # In one transaction no database can be created or dropped, however the dump words it.
            [
                *(PostgresBinaries.find().psql, "--no-psqlrc", "--quiet", "--single-transaction"),
                *("--set", "ON_ERROR_STOP=1", "--file", "-"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(aside),
        ) as process,
    ):
        try:
            complete = _feed(_present(process.stdin), harmless_lines(script, str(path)), path, tell)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0 or not complete:
            raise _failure(path, errors)


def _feed(pipe: IO[bytes], lines: Iterable[bytes], path: Path, tell: Callable[[str], None]) -> bool:
    """Write the script into psql; false when psql has given up on it."""
    written = told = 0
    tell(f"Restoring {path}")
    try:
        with pipe:
            for line in lines:
                pipe.write(line)
                written += len(line)
                if written - told >= _TELL_EVERY_BYTES:
                    told = written
                    tell(f"Restoring {path}: {written >> 20:,} MB of SQL")
    except BrokenPipeError:
        return False
    return True


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise SourceError("A PostgreSQL program was started without a pipe.")
    return pipe


def _environment(url: str) -> dict[str, str]:
    """What a PostgreSQL program finds the database by; a password is not shown in the list of processes."""
    names = {
        **{
            "host": "PGHOST",
            "hostaddr": "PGHOSTADDR",
            "port": "PGPORT",
            "user": "PGUSER",
            "dbname": "PGDATABASE",
        },
        **{"password": "PGPASSWORD", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE"},
        **{
            "sslrootcert": "PGSSLROOTCERT",
            "sslcert": "PGSSLCERT",
            "sslkey": "PGSSLKEY",
            "options": "PGOPTIONS",
        },
    }
    given = {names[key]: str(value) for key, value in conninfo_to_dict(url).items() if key in names}
    return {**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C", **given}


def _failure(path: Path, stderr: IO[bytes]) -> SourceError:
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()] or lines
    shown = "\n  ".join(told[:_SHOWN_ERROR_LINES]) or "it ended without a message"
    return SourceError(
        f"{path} cannot be restored: it is damaged, cut short, or made for a newer PostgreSQL. The data that "
        f"were there before are unchanged. PostgreSQL says:\n  {shown}"
    )
