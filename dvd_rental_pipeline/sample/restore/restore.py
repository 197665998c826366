"""Fill a source database from dumps."""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server_config import RESTORE_ROLE
from dvd_rental_pipeline.sample.required_tables import RequiredTables
from dvd_rental_pipeline.sample.restore.dump import Dump, Format, open_dump
from dvd_rental_pipeline.sample.restore.sql_script import ScriptContent, filter_statements
from dvd_rental_pipeline.sample.staged_database import staged_database

_PROGRESS_BYTES = 16 << 20
_SHOWN_ERROR_LINES = 3
_UNSUPPORTED_VERSION = re.compile(r"unsupported version \(([\d.]+)\)")
_MISSING_FILE = re.compile(r"could not open (?:input )?file \"([^\"]+)\"")
_MISSING_TABLE = re.compile(r"relation \".*\" does not exist")
_NO_RIGHT = re.compile(
    r"permission denied|must be (?:able|superuser)|only superuser|must have privileges|access to library"
)
_FIRST_WITH_GRANTED_SETTINGS = 15_00_00
_NEEDED_BY_OTHERS = ("extension ", "foreign ", "role ")


@dataclass(frozen=True)
class Restored:
    """The result of a restore: the rows by table, and the objects that were left out, such as `policy p`."""

    row_counts: Mapping[str, int]
    left_out: Sequence[str]


def restore(
    url: str, paths: Sequence[Path], tables: RequiredTables, on_progress: Callable[[str], None] | None = None
) -> Restored:
    """Replace the database that `url` names by the dumps at `paths`, which are run in that order.

    Several files are, for example, the schema and the data; triggers and foreign keys do not act on the rows of
    those after the first, as with pg_restore's --disable-triggers. Accepts what `open_dump` finds. Owners and
    privileges are ignored, and objects left out that need what the server does not have; further tables and
    columns are kept. A dump is a program: it runs as a role that owns the new database and may do nothing
    else, neither read files nor run programs. Statements on databases are left out, and psql commands refused.

    Args:
        url: the database, with the user that administers the embedded server.
        paths: the dumps.
        tables: what the database must have.
        on_progress: receives a line now and then.

    Raises:
        SourceError: a file does not exist, is not a dump, or is damaged; the dumps lack some of `tables` or
            have no rows; or the database cannot be replaced. The old data are then unchanged.
    """
    report = on_progress or (lambda _: None)
    content = ScriptContent()
    _require_restore_role(url)
    with staged_database(url, tables, RESTORE_ROLE) as staged_url:
        for number, path in enumerate(paths):
            report(f"Reading {path}")
            with open_dump(path) as dump, _open_script(dump, path) as script:
                _run(script, staged_url, path, content, report, is_first=number == 0)
        with psycopg.connect(staged_url, autocommit=True) as connection:
            connection.execute("analyze")
        tables.verify(staged_url)
        row_counts = tables.row_counts(staged_url)
        if not any(row_counts.values()):
            raise SourceError(
                f"{_names(paths)} has the tables, but no rows. If the data are in a second file, give both: "
                "`dvd-rental source restore SCHEMA.sql DATA.sql`. Otherwise, dump without --schema-only. The "
                "existing data are unchanged."
            )
        return Restored(row_counts, list(content.left_out))


def _require_restore_role(url: str) -> None:
    try:
        with psycopg.connect(make_conninfo(url, dbname="postgres")) as connection:
            query = "select from pg_roles where rolname = %s"
            exists = connection.execute(query, [RESTORE_ROLE]).fetchone() is not None
    except psycopg.OperationalError as error:
        raise SourceError(f"The source database server cannot be reached: {error}") from error
    if not exists:
        raise SourceError(
            "The source database server was started by an earlier version, in which a dump had every right. "
            "Run `dvd-rental source stop`, then repeat your command."
        )


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
            [PostgresBinaries.find().pg_restore, "--no-owner", "--file=-", dump.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
    ):
        try:
            yield _require_pipe(process.stdout)
        except BaseException as error:
            process.kill()
            process.wait()
            if isinstance(error, SourceError) and _error_lines(errors):
                # A script that ends early is the consequence of what pg_restore reports.
                raise _damaged_archive(path, errors) from error
            raise
        if process.wait() != 0:
            raise _damaged_archive(path, errors)


def _run(
    script: IO[bytes],
    url: str,
    path: Path,
    content: ScriptContent,
    report: Callable[[str], None],
    *,
    is_first: bool,
) -> None:
    with psycopg.connect(url) as connection:
        may_disable_triggers = connection.info.server_version >= _FIRST_WITH_GRANTED_SETTINGS
        extensions = {name for (name,) in connection.execute("select name from pg_available_extensions")}
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
            env=_psql_environment(url, check_rows=is_first or not may_disable_triggers),
        ) as process,
    ):
        try:
            lines = filter_statements(script, str(path), extensions, content)
            complete = _write(_require_pipe(process.stdin), lines, path, report)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0 or not complete:
            raise _rejected_statement(path, errors, content)


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


def _psql_environment(url: str, *, check_rows: bool) -> dict[str, str]:
    """Return libpq's environment variables for `url`: the list of processes then shows no password.

    Without `check_rows`, triggers and foreign keys do not act on rows that are inserted.
    """
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
    if not check_rows:
        options = given.get("PGOPTIONS", "")
        given["PGOPTIONS"] = f"{options} -c session_replication_role=replica".strip()
    return {**os.environ, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C", **given}


def _damaged_archive(path: Path, stderr: IO[bytes]) -> SourceError:
    lines = _error_lines(stderr)
    version = next((match for line in lines if (match := _UNSUPPORTED_VERSION.search(line))), None)
    if version is not None:
        return SourceError(
            f"{path} was written by a newer PostgreSQL (archive version {version.group(1)}) than this one can "
            f"read ({PostgresBinaries.find().version}). Dump it as plain SQL (pg_dump without -F), or with an "
            "older pg_dump. The existing data are unchanged."
        )
    missing = next((match for line in lines if (match := _MISSING_FILE.search(line))), None)
    if missing is not None:
        return SourceError(
            f"{path} is incomplete: its data file {Path(missing.group(1)).name} is missing. Give the whole "
            "folder, or the tar or zip that it came in. The existing data are unchanged."
        )
    return SourceError(
        f"{path} is damaged or truncated. Download or copy it again. The existing data are unchanged. "
        f"pg_restore reports:\n  {_shown(lines)}"
    )


def _rejected_statement(path: Path, stderr: IO[bytes], content: ScriptContent) -> SourceError:
    lines = _error_lines(stderr)
    if not content.creates_tables and any(_MISSING_TABLE.search(line) for line in lines):
        return SourceError(
            f"{path} has rows, but not the tables. Give the file with the schema first: `dvd-rental source "
            f"restore SCHEMA.sql {path.name}`. The existing data are unchanged."
        )
    needed = [name for name in content.left_out if name.startswith(_NEEDED_BY_OTHERS)]
    hint = f" It may need what is not available here: {', '.join(needed)}." if needed else ""
    if any(_NO_RIGHT.search(line) for line in lines):
        hint += (
            " A dump may only change its own database: it is restored without a superuser's rights, so that it "
            "reads no files and runs no programs. If you trust it, remove that statement."
        )
    return SourceError(
        f"{path} cannot be restored: PostgreSQL {PostgresBinaries.find().version} rejects a statement of it."
        f"{hint} The existing data are unchanged. PostgreSQL reports:\n  {_shown(lines)}"
    )


def _error_lines(stderr: IO[bytes]) -> list[str]:
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    return [line for line in lines if "error" in line.lower() or "fatal" in line.lower()] or lines


def _shown(lines: Sequence[str]) -> str:
    return "\n  ".join(lines[:_SHOWN_ERROR_LINES]) or "it ended without a message"


def _names(paths: Sequence[Path]) -> str:
    return " with ".join(str(path) for path in paths)
