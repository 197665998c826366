"""Splits a file into valid rows and quarantined records, as two Parquet files, in bounded memory.

Blocks of records become Arrow arrays; DuckDB validates them in batches, without a database.
"""

import calendar
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.files.csv_blocks import (
    BLOCK_BYTES,
    REPLACEMENT,
    CsvBlock,
    CsvReader,
    CsvRecord,
    as_text,
)
from dvd_rental_pipeline.pipelines.sales.columns import (
    FILE_COLUMNS,
    FieldKind,
    FileColumn,
    arrow_schema,
    normalize_header,
)
from dvd_rental_pipeline.pipelines.sales.file_formats import FileFormat
from dvd_rental_pipeline.pipelines.sales.file_names import SalesFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_RECORDS = 100_000


class RejectedFileError(PipelineError):
    """The header of a file is not valid: nothing of it can be loaded."""


@dataclass(frozen=True)
class ValidatedFile:
    """The rows of a file: valid and quarantined ones, each a Parquet file with the columns of its raw table."""

    file: SalesFile
    sha256: str
    valid: Path
    quarantined: Path
    valid_rows: int
    quarantined_rows: int
    ignored_columns: Sequence[str]


@dataclass(frozen=True)
class _Header:
    """The position of each column in a record."""

    positions: Mapping[str, int]
    width: int
    fields: Sequence[str]
    ignored: Sequence[str]


def open_validation() -> "duckdb.DuckDBPyConnection":
    """A connection without a database, for the validation of any number of files."""
    import duckdb  # noqa: PLC0415 - only loading needs it

    return duckdb.connect(config={"threads": 2, "memory_limit": "512MB"})


def validate_file(
    file: SalesFile,
    stream: BinaryIO,
    file_format: FileFormat,
    folder: Path,
    connection: "duckdb.DuckDBPyConnection",
    *,
    batch_records: int = BATCH_RECORDS,
    block_bytes: int = BLOCK_BYTES,
) -> ValidatedFile:
    """Read `stream` to its end and write its rows to two Parquet files in `folder`.

    Args:
        connection: see `open_validation`.

    Raises:
        RejectedFileError: the file is empty, or its header lacks a column or has one twice.
    """
    hashed = _HashingStream(stream)
    buffered: Any = io.BufferedReader(hashed, 1 << 20)
    reader = CsvReader(
        buffered, encoding=file_format.encoding, delimiter=file_format.delimiter, block_bytes=block_bytes
    )
    header = _read_header(file, reader.read_record())
    with (
        _Output(folder / "valid.parquet", "order_lines") as valid,
        _Output(folder / "quarantined.parquet", "quarantine") as quarantined,
    ):
        validator = _Validator(connection, file, file_format, header)
        for batch in _batches(reader.read_blocks(header.fields), batch_records):
            rows, rejected = validator.validate(batch)
            valid.write(rows)
            quarantined.write(rejected)
    return ValidatedFile(
        file,
        hashed.hexdigest(),
        valid.path,
        quarantined.path,
        valid.rows,
        quarantined.rows,
        header.ignored,
    )


def hash_content(stream: BinaryIO) -> str:
    """The SHA-256 of a stream, read in pieces."""
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _read_header(file: SalesFile, record: CsvRecord | None) -> _Header:
    if record is None:
        raise RejectedFileError(f"{file.name} is empty: it has not even a header.")
    if record.error is not None:
        raise RejectedFileError(f"{file.name}: the header is {record.error}.")
    normalized = [normalize_header(name) for name in record.fields]
    positions: dict[str, int] = {}
    missing, repeated = [], []
    for column in FILE_COLUMNS:
        names = (normalize_header(column.name), *column.aliases)
        found = [position for position, name in enumerate(normalized) if name in names]
        if not found:
            missing.append(column.name)
        elif len(found) > 1:
            repeated.append(column.name)
        else:
            positions[column.name] = found[0]
    problems = []
    if missing:
        problems.append(f"lacks {', '.join(missing)}")
    if repeated:
        problems.append(f"has {', '.join(repeated)} more than once")
    if problems:
        raise RejectedFileError(
            f"{file.name}: the header {' and '.join(problems)}. Nothing of the file was loaded. Fix the "
            "header, or declare the delimiter and the encoding of the file in formats.json."
        )
    known = set(positions.values())
    ignored = [name for position, name in enumerate(record.fields) if position not in known]
    return _Header(positions, len(record.fields), record.fields, ignored)


def _batches(blocks: Iterator[CsvBlock], size: int) -> Iterator[list[CsvBlock]]:
    """Blocks with at least `size` records together, so that the cost of a query does not count."""
    batch: list[CsvBlock] = []
    records = 0
    for block in blocks:
        batch.append(block)
        records += len(block.lines) + len(block.others)
        if records >= size:
            yield batch
            batch, records = [], 0
    if batch:
        yield batch


class _Validator:
    """Validates batches of one file."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", file: SalesFile, file_format: FileFormat, header: _Header
    ) -> None:
        self._connection = connection
        self._file = file
        self._format = file_format
        self._header = header
        self._schema = arrow_schema("order_lines")

    def validate(self, batch: Sequence[CsvBlock]) -> tuple["pa.Table", "pa.Table"]:
        """The valid rows and the quarantined records of `batch`."""
        import pyarrow as pa  # noqa: PLC0415 - only loading needs Arrow
        import pyarrow.compute as pc  # noqa: PLC0415 - only loading needs Arrow

        rejected = [self._reject(record) for block in batch for record in block.others]
        names = ["line", *map(_field, range(self._header.width))]
        incoming = pa.concat_tables(pa.table([block.lines, *block.columns], names) for block in batch)
        query = _validation_query(
            self._file,
            self._format,
            self._header.positions,
            has_replacements=any(block.has_replacements for block in batch),
        )
        self._connection.register("incoming", incoming)
        checked = self._connection.sql(query).to_arrow_table()
        is_valid = pc.equal(checked["problems"], "")
        is_invalid = pc.invert(is_valid)
        texts = incoming.filter(is_invalid).to_pylist()
        for text, problems in zip(texts, checked["problems"].filter(is_invalid).to_pylist(), strict=True):
            line, *fields = text.values()
            column = problems.partition(": ")[0]
            rejected.append((line, column, problems, as_text(fields, self._format.delimiter)))
        return checked.select(self._schema.names).filter(is_valid), self._quarantine(rejected)

    def _reject(self, record: CsvRecord) -> tuple[int, str | None, str, str]:
        """What the quarantine says of a record that is not one of `width` fields, or repeats the header."""
        if record.error is not None:
            return record.line, None, record.error, record.text
        reason = (
            "the header again"
            if record.fields == self._header.fields
            else f"{len(record.fields)} fields, and the header has {self._header.width}"
        )
        return record.line, None, reason, as_text(record.fields, self._format.delimiter)

    def _quarantine(self, rejected: Sequence[tuple[int, str | None, str, str]]) -> "pa.Table":
        import pyarrow as pa  # noqa: PLC0415 - only loading needs Arrow

        file = self._file
        rows = [
            {
                "file_key": file.key,
                "file_name": file.name,
                "period": file.period,
                "line": line,
                "column_name": column,
                "reason": reason,
                # PostgreSQL cannot store a NUL character.
                "record": text.replace("\0", REPLACEMENT),
            }
            for line, column, reason, text in sorted(rejected, key=lambda each: each[0])
        ]
        return pa.Table.from_pylist(rows, arrow_schema("quarantine"))


def _field(position: int) -> str:
    """The name of the field at `position` in the table `incoming`."""
    return f"field_{position}"


def _validation_query(
    file: SalesFile, file_format: FileFormat, positions: Mapping[str, int], *, has_replacements: bool
) -> str:
    """A query on the table `incoming`: typed columns, and `problems`, texts `COLUMN: REASON` joined by `; `.

    The rows are in the order of `incoming`. `has_replacements` is whether a text may have bytes that were not
    valid.
    """
    values = ",\n".join(
        f"nullif(trim({_field(positions[column.name])}), '') as {column.name}" for column in FILE_COLUMNS
    )
    typed = ",\n".join(f"{_typed(column, file_format)} as {column.name}" for column in FILE_COLUMNS)
    tested = (_problem(column, file_format, has_replacements=has_replacements) for column in FILE_COLUMNS)
    problems = ",\n".join(problem for problem in tested if problem)
    days = calendar.monthrange(file.period.year, file.period.month)[1]
    last = file.period.replace(day=days)
    return f"""
        with texts as (select line, {values} from incoming),
        typed as (
            select line, {typed}, concat_ws('; ', {problems}) as problems_of_columns
            from texts
        )
        select
            * exclude (problems_of_columns),
            {_literal(file.key)} as file_key,
            {_literal(file.name)} as file_name,
            date '{file.period}' as period,
            concat_ws(
                '; ',
                nullif(problems_of_columns, ''),
                case
                    when order_date not between date '{file.period}' and date '{last}'
                    then 'order_date: not in the month of the file, {file.period:%Y-%m}'
                end,
                case when ship_date < order_date then 'ship_date: before the order date' end,
                case when quantity <= 0 then 'quantity: not positive' end,
                case when order_line <= 0 then 'order_line: not positive' end,
                case when unit_price < 0 then 'unit_price: negative' end,
                case when list_price < 0 then 'list_price: negative' end
            ) as problems
        from typed
    """


def _problem(column: FileColumn, file_format: FileFormat, *, has_replacements: bool) -> str:
    """What is not valid in the text of a column, as `COLUMN: REASON`; null if it is valid.

    Empty if every text is.
    """
    tests = [
        f"when {when} then {_literal(f'{column.name}: {why}')}"
        for when, why in _tests(column, file_format, has_replacements=has_replacements)
    ]
    return f"case {' '.join(tests)} end" if tests else ""


def _tests(column: FileColumn, file_format: FileFormat, *, has_replacements: bool) -> Iterator[tuple[str, str]]:
    """Conditions under which the text of a column is not valid, with the reasons; the first counts."""
    name = column.name
    if has_replacements:
        yield (
            f"contains({name}, chr({ord(REPLACEMENT)})) or contains({name}, chr(0))",
            f"bytes that are not valid {file_format.encoding}",
        )
    if column.required:
        yield f"{name} is null", "empty"
    if column.accepted:
        accepted = ", ".join(map(_literal, column.accepted))
        yield f"{name} not in ({accepted})", f"none of {', '.join(column.accepted)}"
    if column.kind is FieldKind.DATE:
        yield (
            f"{name} is not null and {_typed(column, file_format)} is null",
            f"not a date like {' or '.join(file_format.dates)}",
        )
    elif column.kind is not FieldKind.TEXT:
        is_whole = column.kind is FieldKind.WHOLE
        yield (
            f"{name} is not null and {_typed(column, file_format)} is null",
            f"not {'a whole number' if is_whole else 'an amount with at most 2 decimals'}",
        )


def _typed(column: FileColumn, file_format: FileFormat) -> str:
    """The typed value of the text of a column; null if it is not valid."""
    name, decimal, thousands = column.name, file_format.decimal, file_format.thousands
    match column.kind:
        case FieldKind.TEXT:
            return name
        case FieldKind.DATE:
            formats = ", ".join(map(_literal, file_format.dates))
            return f"cast(try_strptime({name}, [{formats}]) as date)"
    grouped = rf"[0-9]{{1,3}}(?:[{thousands}][0-9]{{3}})+|" if thousands else ""
    fraction = rf"(?:[{decimal}][0-9]{{1,2}})?" if column.kind is FieldKind.AMOUNT else ""
    pattern = rf"[+-]?(?:{grouped}[0-9]+){fraction}"
    plain = f"replace({name}, {_literal(thousands)}, '')" if thousands else name
    plain = f"replace({plain}, {_literal(decimal)}, '.')"
    matches = f"regexp_full_match({name}, {_literal(pattern)})"
    return f"case when {matches} then try_cast({plain} as {column.sql_type}) end"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _Output:
    """A Parquet file that is written batch by batch."""

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        self.rows = 0
        self._schema = arrow_schema(table)
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_Output":
        import pyarrow.parquet as pq  # noqa: PLC0415 - only loading needs Arrow

        self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd")
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: "pa.Table") -> None:
        if self._writer is not None and rows.num_rows:
            self.rows += rows.num_rows
            self._writer.write_table(rows.cast(self._schema))


class _HashingStream(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        self._digest.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
