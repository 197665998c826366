"""Brings the raw tables in line with the dropped files: each month and part shows its highest valid revision.

What is loaded follows from the files that are there, not from the order in which they arrived.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.ingestion.files.drop_zone import DroppedFile, DropZone
from dvd_rental_pipeline.pipelines.sales.columns import FILE_COLUMNS, SALES, arrow_schema
from dvd_rental_pipeline.pipelines.sales.file_formats import FORMATS_FILE, FileFormat, format_of, parse_formats
from dvd_rental_pipeline.pipelines.sales.file_names import EXPECTED, SalesFile, parse_file_name
from dvd_rental_pipeline.pipelines.sales.validation import (
    RejectedFileError,
    ValidatedFile,
    hash_content,
    open_validation,
    validate_file,
)
from dvd_rental_pipeline.warehouse.interface import IncomingRows, Session, TableName, Warehouse

if TYPE_CHECKING:
    import duckdb

INCOMING = "incoming_"
"""Prefix of the tables into which a file is loaded before it replaces its earlier rows."""
REPLACED_TABLES = ("order_lines", "quarantine")


class FileStatus(StrEnum):
    """What became of a file."""

    LOADED = "loaded"
    REPLACED = "replaced"
    REJECTED = "rejected"


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file in this run, in numbers of records and of order lines."""

    file: SalesFile
    status: FileStatus
    reason: str | None = None
    sha256: str = ""
    records: int = 0
    quarantined: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0

    def __str__(self) -> str:
        match self.status:
            case FileStatus.REJECTED:
                return f"{self.file.name} was rejected: {self.reason}"
            case FileStatus.REPLACED:
                return f"{self.file.name} was not loaded: a higher revision of {self.file.key} is."
            case FileStatus.LOADED:
                return (
                    f"{self.file.name}: {self.records:,} records, {self.quarantined:,} quarantined; "
                    f"order lines: {self.added:,} added, {self.changed:,} changed, {self.removed:,} removed."
                )


@dataclass(frozen=True)
class _Known:
    """What the table `files` says of a file."""

    file: SalesFile
    status: FileStatus
    sha256: str


def complete_files(zone: DropZone, log: Callable[[str], None] = lambda _: None) -> Sequence[DroppedFile]:
    """The sales files of `zone` that are complete, in order of their month; `log` is told of the others."""
    found = []
    for dropped in zone.files():
        file = parse_file_name(dropped.name)
        if file is None:
            if dropped.name != FORMATS_FILE:
                # A line break in a name would make two log lines.
                name = dropped.name if dropped.name.isprintable() else repr(dropped.name)
                log(f"{name} was left alone: the name of a sales file is {EXPECTED}.")
        elif not dropped.is_complete:
            log(f"{dropped.name} was left for the next run: it may still be written.")
        else:
            found.append((file, dropped))
    return [dropped for _, dropped in sorted(found, key=lambda pair: pair[0])]


def load_files(zone: DropZone, warehouse: Warehouse, log: Callable[[str], None]) -> Sequence[FileOutcome]:
    """Load the files of `zone` that are new or have changed; returns what became of them, none of the others.

    Each file is loaded in one transaction. A file whose header is not valid changes nothing.

    Raises:
        PipelineError: the files cannot be read, or the warehouse cannot be written. Files loaded before stay.
    """
    formats = parse_formats(zone.read(FORMATS_FILE), FORMATS_FILE)
    known = _prepare(warehouse)
    present = {file.name: file for file in map(parse_file_name, _names(complete_files(zone, log))) if file}
    # A file that was archived stays loaded, and is still above its lower revisions.
    loaded = [each.file for each in known.values() if each.status is FileStatus.LOADED]
    files = sorted({file.name: file for file in (*loaded, *present.values())}.values())
    outcomes: list[FileOutcome] = []
    with ExitStack() as stack:
        # Opened for the first file that is validated.
        connect = cache(lambda: stack.enter_context(open_validation()))
        for _, revisions in groupby(files, key=lambda file: (file.period, file.part)):
            for outcome in _load_highest(
                [*revisions][::-1],
                present=present.keys(),
                known=known,
                formats=formats,
                zone=zone,
                warehouse=warehouse,
                connect=connect,
            ):
                log(str(outcome))
                outcomes.append(outcome)
    return outcomes


def _load_highest(
    revisions: Sequence[SalesFile],
    *,
    present: Iterable[str],
    known: dict[str, _Known],
    formats: tuple[FileFormat, ...],
    zone: DropZone,
    warehouse: Warehouse,
    connect: Callable[[], "duckdb.DuckDBPyConnection"],
) -> Iterator[FileOutcome]:
    """Load the first of `revisions` (the highest first) that is valid, and note the others."""
    names = set(present)
    is_loaded = False
    for file in revisions:
        before = known.get(file.name)
        if file.name not in names:
            # Archived after it was loaded.
            is_loaded = True
            continue
        with zone.open(file.name) as stream:
            sha256 = hash_content(stream)
        is_same = before is not None and before.sha256 == sha256
        if is_loaded:
            if before is None or not is_same or before.status is not FileStatus.REPLACED:
                outcome = FileOutcome(file, FileStatus.REPLACED, sha256=sha256)
                with warehouse.transaction() as session:
                    _note(session, outcome)
                yield outcome
            continue
        if before is not None and is_same and before.status is not FileStatus.REPLACED:
            is_loaded = before.status is FileStatus.LOADED
            continue
        try:
            with _validated(zone, file, format_of(file.name, formats), connect()) as validated:
                outcome = _load(validated, warehouse)
                is_loaded = True
        except RejectedFileError as error:
            outcome = FileOutcome(file, FileStatus.REJECTED, reason=str(error), sha256=sha256)
            with warehouse.transaction() as session:
                _note(session, outcome)
        yield outcome


@contextmanager
def _validated(
    zone: DropZone, file: SalesFile, file_format: FileFormat, connection: "duckdb.DuckDBPyConnection"
) -> Iterator[ValidatedFile]:
    with tempfile.TemporaryDirectory(prefix="sales-") as folder, zone.open(file.name) as stream:
        yield validate_file(file, stream, file_format, Path(folder), connection)


def _load(validated: ValidatedFile, warehouse: Warehouse) -> FileOutcome:
    """Replace the rows of the file's month and part by those of `validated`."""
    files = {
        "order_lines": (validated.valid, validated.valid_rows),
        "quarantine": (validated.quarantined, validated.quarantined_rows),
    }
    incoming: dict[TableName, IncomingRows] = {
        TableName(SALES.name, f"{INCOMING}{table}"): file for table, (file, rows) in files.items() if rows
    }
    if incoming:
        warehouse.load_all(incoming)
    key = validated.file.key
    outcome = FileOutcome(
        validated.file,
        FileStatus.LOADED,
        reason=f"Columns that were ignored: {', '.join(validated.ignored_columns)}."
        if validated.ignored_columns
        else None,
        sha256=validated.sha256,
        records=validated.valid_rows + validated.quarantined_rows,
        quarantined=validated.quarantined_rows,
    )
    with warehouse.transaction() as session:
        ((new, old, both),) = session.execute(_changes_query(), [key]).values
        outcome = replace(outcome, added=int(new - both), changed=int(both), removed=int(old - both))
        for table in REPLACED_TABLES:
            columns = ", ".join(arrow_schema(table).names)
            session.execute(f"delete from {SALES.name}.{table} where file_key = ?", [key])
            session.execute(
                f"insert into {SALES.name}.{table} ({columns})"
                f" select {columns} from {SALES.name}.{INCOMING}{table}"
            )
        session.execute(
            f"update {SALES.name}.files set status = ? where file_key = ? and status = ?",
            [FileStatus.REPLACED.value, key, FileStatus.LOADED.value],
        )
        _note(session, outcome)
        _empty_incoming(session)
    return outcome


def _changes_query() -> str:
    """Counts of the order lines: new or different in the file, gone or different from it, different."""
    columns = ", ".join(column.name for column in FILE_COLUMNS)
    return f"""
        with incoming as (select {columns} from {SALES.name}.{INCOMING}order_lines),
        stored as (select {columns} from {SALES.name}.order_lines where file_key = ?),
        new_rows as (select * from incoming except select * from stored),
        old_rows as (select * from stored except select * from incoming),
        new_lines as (select distinct order_number, order_line from new_rows),
        old_lines as (select distinct order_number, order_line from old_rows),
        changed as (select * from new_lines intersect select * from old_lines)
        select
            (select count(*) from new_lines) as new_count,
            (select count(*) from old_lines) as old_count,
            (select count(*) from changed) as changed_count
    """


def _note(session: Session, outcome: FileOutcome) -> None:
    """Store the outcome in the table `files`."""
    values: dict[str, Any] = {
        "file_name": outcome.file.name,
        "file_key": outcome.file.key,
        "revision": outcome.file.revision,
        "status": outcome.status.value,
        "reason": outcome.reason,
        "sha256": outcome.sha256,
        "records": outcome.records,
        "quarantined": outcome.quarantined,
        "lines_added": outcome.added,
        "lines_changed": outcome.changed,
        "lines_removed": outcome.removed,
        "loaded_at": datetime.now(UTC).replace(tzinfo=None),
    }
    session.execute(f"delete from {SALES.name}.files where file_name = ?", [outcome.file.name])
    placeholders = ", ".join("?" for _ in values)
    session.execute(
        f"insert into {SALES.name}.files ({', '.join(values)}) values ({placeholders})", list(values.values())
    )


def _empty_incoming(session: Session) -> None:
    for table in REPLACED_TABLES:
        session.execute(f"delete from {SALES.name}.{INCOMING}{table}")


def _prepare(warehouse: Warehouse) -> dict[str, _Known]:
    """Create the tables that do not exist; returns what is known of files, by name."""
    tables = {*(table.name for table in SALES.tables), *(f"{INCOMING}{name}" for name in REPLACED_TABLES)}
    with warehouse.transaction() as session:
        existing = session.execute(
            "select lower(table_name) from information_schema.tables where lower(table_schema) = ?",
            [SALES.name],
        ).values
        missing = tables - {str(name) for (name,) in existing}
        if not missing:
            return _begin(session)
    warehouse.create_schema(SALES.name)
    # Loading no rows creates a table.
    warehouse.load_all(
        {
            TableName(SALES.name, table): arrow_schema(table.removeprefix(INCOMING)).empty_table()
            for table in sorted(missing)
        }
    )
    with warehouse.transaction() as session:
        return _begin(session)


def _begin(session: Session) -> dict[str, _Known]:
    # What a process that was killed has left.
    _empty_incoming(session)
    rows = session.execute(f"select file_name, status, sha256 from {SALES.name}.files").values
    known = {}
    for name, status, sha256 in rows:
        file = parse_file_name(str(name))
        if file is not None:
            known[file.name] = _Known(file, FileStatus(status), str(sha256))
    return known


def _names(files: Sequence[DroppedFile]) -> list[str]:
    return [file.name for file in files]
