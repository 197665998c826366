"""Reads CSV block by block in bounded memory, and numbers each record by the line on which it begins.

Arrow splits the blocks. What Arrow and Python's strict reader may split differently (a quote inside an unquoted
field, text after a closing quote, a quote that is never closed, a lone carriage return) is read with Python's.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BLOCK_BYTES = 1 << 20
# A longer line is read in pieces, so that a file without line breaks does not fill the memory.
MAX_LINE = 1 << 20
MAX_RECORD_TEXT = 2000
REPLACEMENT = "\ufffd"
"""Stands in a record for bytes that are not valid in the file's encoding."""

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
_LINE_END = re.compile(rb"\r\n|\n|\r")
_UTF8 = {"utf-8", "utf8"}


@dataclass(frozen=True)
class CsvRecord:
    """A record, and the line of the file on which it begins, from 1.

    `error` says why the record cannot be split into fields; it has no fields then, and `text` holds its
    beginning.
    """

    line: int
    fields: list[str]
    error: str | None = None
    text: str = ""


@dataclass(frozen=True)
class CsvBlock:
    """Records that follow each other in the file.

    Attributes:
        lines: the line on which each row of `columns` begins.
        columns: the records that have as many fields as the header: an array of text per field.
        others: all other records, and those that repeat the header.
        has_replacements: whether a text of `columns` contains REPLACEMENT or a NUL character.
    """

    lines: "pa.Array"
    columns: Sequence["pa.Array"]
    others: Sequence[CsvRecord]
    has_replacements: bool


class CsvReader:
    """The records of a stream; blank lines are not records.

    A byte order mark is skipped. Bytes that are not valid in `encoding` become `REPLACEMENT`.
    """

    def __init__(
        self, stream: BinaryIO, *, encoding: str, delimiter: str, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._text = _Text(stream, encoding, block_bytes)
        self._delimiter = delimiter
        self._block_bytes = block_bytes

    def read_record(self) -> CsvRecord | None:
        """The next record; None at the end of the file."""
        text = self._text
        # Strict: a quote that is never closed is an error, not a field as long as the file.
        reader = csv.reader(iter(text), delimiter=self._delimiter, strict=True)
        while True:
            line = text.line
            text.recent.clear()
            try:
                fields = next(reader, None)
            except csv.Error as error:
                beginning = "".join(text.recent[:20])[:MAX_RECORD_TEXT]
                return CsvRecord(line, [], f"not valid CSV: {error}", beginning)
            if fields is None:
                return None
            if fields:
                return CsvRecord(line, fields)

    def read_blocks(self, header: Sequence[str]) -> Iterator[CsvBlock]:
        """The records after those read so far, in blocks; `header` are the fields of the header."""
        text = self._text
        is_fast = self._delimiter.isascii() and self._delimiter not in '"\r\n'
        while text.fill(self._block_bytes):
            end = text.position + self._block_bytes
            found = _find_records(text.buffer, self._delimiter, is_last=text.is_last) if is_fast else None
            if found is not None and found.size:
                yield _block_of_bytes(found, text.buffer[: found.size], text.line, self._delimiter, header)
                text.skip(found.size, found.newlines)
            if found is None or found.is_irregular or not found.size:
                records = []
                while text.position < end and (record := self.read_record()) is not None:
                    records.append(record)
                yield _block_of_records(records, header)


def as_text(fields: Sequence[str], delimiter: str) -> str:
    """The record as one line of CSV, cut at `MAX_RECORD_TEXT` characters."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow(fields)
    return text.getvalue()[:MAX_RECORD_TEXT]


class _Text:
    """The text of a stream as UTF-8, from the line `line` on; iterating takes line after line.

    `position` is the number of bytes that were taken, and `recent` the lines that iterating took.
    """

    def __init__(self, stream: BinaryIO, encoding: str, read_bytes: int) -> None:
        codec = "utf-8-sig" if encoding.lower().replace("_", "-") in _UTF8 else encoding
        self._decoder = codecs.getincrementaldecoder(codec)(errors="replace")
        self._stream = stream
        self._read_bytes = read_bytes
        self.buffer = b""
        self.is_last = False
        self.line = 1
        self.position = 0
        self.recent: list[str] = []

    def fill(self, size: int) -> bool:
        """Read until the buffer has `size` bytes or the stream ends; whether there are any."""
        parts, held = [self.buffer], len(self.buffer)
        while held < size and not self.is_last:
            piece = self._stream.read(self._read_bytes)
            self.is_last = not piece
            parts.append(self._decoder.decode(piece, final=self.is_last).encode())
            held += len(parts[-1])
        self.buffer = b"".join(parts)
        return held > 0

    def skip(self, size: int, lines: int) -> None:
        """Drop `size` bytes, which are `lines` lines."""
        self.buffer = self.buffer[size:]
        self.position += size
        self.line += lines

    def __iter__(self) -> Iterator[str]:
        while self.fill(1):
            size = self._line_size()
            line = self.buffer[:size].decode()
            self.skip(size, 1)
            self.recent.append(line)
            yield line

    def _line_size(self) -> int:
        start = 0
        while True:
            end = _LINE_END.search(self.buffer, start)
            # Whether a newline follows a carriage return at the end of the buffer is not known yet.
            if end and (self.is_last or end.group() != b"\r" or end.end() < len(self.buffer)):
                return self._cut(end.end())
            if self.is_last or len(self.buffer) > MAX_LINE:
                return self._cut(len(self.buffer))
            start = max(0, len(self.buffer) - 1)
            self.fill(len(self.buffer) + self._read_bytes)

    def _cut(self, size: int) -> int:
        """At most `MAX_LINE` bytes, and no part of a character."""
        if size <= MAX_LINE:
            return size
        size = MAX_LINE
        while self.buffer[size] & 0xC0 == 0x80:
            size -= 1
        return size


@dataclass(frozen=True)
class _Records:
    """Regular records of a buffer: where each begins and ends, its number of fields, the newlines before it.

    They are `size` bytes with `newlines` lines. With `is_irregular`, another record begins there that is not
    regular.
    """

    starts: "npt.NDArray[np.int64]"
    ends: "npt.NDArray[np.int64]"
    widths: "npt.NDArray[np.int64]"
    lines: "npt.NDArray[np.int64]"
    size: int
    newlines: int
    is_irregular: bool


def _find_records(data: bytes, delimiter: str, *, is_last: bool) -> _Records:
    """The records that end in `data`, before the first irregular one."""
    import numpy as np  # noqa: PLC0415 - only loading needs it

    codes = np.frombuffer(data, np.uint8)
    is_quote = codes == _QUOTE
    # 1 from an opening quote to the byte before its closing one; an escaped quote closes and opens.
    inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8))
    limit = _first_irregular(codes, is_quote, inside, ord(delimiter), is_last=is_last)
    newlines = np.flatnonzero(codes == _NEWLINE)
    stops = newlines[inside[newlines] == 0]
    if is_last and not inside[-1] and codes[-1] != _NEWLINE:
        stops = np.append(stops, len(data))
    starts = np.concatenate(([0], stops + 1))[:-1]
    # Python's reader rejects a field that is longer.
    is_regular = (stops <= limit) & (stops - starts < csv.field_size_limit())
    count = len(stops) if is_regular.all() else int(np.argmin(is_regular))
    is_irregular = count < len(stops) or limit < len(data)
    starts, stops = starts[:count], stops[:count]
    size = min(int(stops[-1]) + 1, len(data)) if count else 0
    delimiters = np.flatnonzero((codes[:size] == ord(delimiter)) & (inside[:size] == 0))
    widths = np.diff(np.searchsorted(delimiters, stops), prepend=0) + 1
    ends = np.where((stops > starts) & (codes[stops - 1] == _RETURN), stops - 1, stops)
    lines = np.searchsorted(newlines, starts)
    newline_count = int(np.searchsorted(newlines, size)) + int(size > 0 and data[size - 1] != _NEWLINE)
    kept = ends > starts
    return _Records(starts[kept], ends[kept], widths[kept], lines[kept], size, newline_count, is_irregular)


def _first_irregular(
    codes: "npt.NDArray[np.uint8]",
    is_quote: "npt.NDArray[np.bool_]",
    inside: "npt.NDArray[np.uint8]",
    delimiter: int,
    *,
    is_last: bool,
) -> int:
    """The first byte that Arrow and Python may read differently; the length if there is none."""
    import numpy as np  # noqa: PLC0415 - only loading needs it

    borders = np.zeros(256, np.bool_)
    borders[[delimiter, _NEWLINE, _QUOTE]] = True
    quotes = np.flatnonzero(is_quote)
    is_opening = inside[quotes] == 1
    openings, closings = quotes[is_opening], quotes[~is_opening]
    wrong = openings[(openings > 0) & ~borders[codes[openings - 1]]]
    found = [int(wrong[0])] if len(wrong) else []
    borders[_RETURN] = True
    # What follows the last byte is not known before the end of the file, where a record ends.
    followed = closings[closings < len(codes) - 1]
    wrong = followed[~borders[codes[followed + 1]]]
    found += [int(wrong[0])] if len(wrong) else []
    returns = np.flatnonzero(codes == _RETURN)
    is_alone = np.ones(len(returns), np.bool_)
    known = returns < len(codes) - 1
    is_alone[known] = codes[returns[known] + 1] != _NEWLINE
    found += [int(returns[is_alone][0])] if is_alone.any() else []
    if is_last and len(codes) and inside[-1]:
        found.append(int(openings[-1]))
    return min(found, default=len(codes))


def _block_of_bytes(
    found: _Records, data: bytes, first_line: int, delimiter: str, header: Sequence[str]
) -> CsvBlock:
    import pyarrow as pa  # noqa: PLC0415 - only loading needs Arrow
    import pyarrow.csv as pa_csv  # noqa: PLC0415 - only loading needs Arrow

    has_width = found.widths == len(header)
    others = [
        CsvRecord(
            first_line + int(found.lines[at]),
            next(csv.reader(io.StringIO(data[found.starts[at] : found.ends[at]].decode(), newline=""),
                            delimiter=delimiter, strict=True)),
        )
        for at in (~has_width).nonzero()[0]
    ]  # fmt: skip
    names = [str(number) for number in range(len(header))]
    if not has_width.any():
        return CsvBlock(pa.array([], pa.int64()), [pa.array([], pa.string()) for _ in names], others, False)
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        pa_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda row: "skip"
        ),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), check_utf8=False),
    )
    columns = [column.combine_chunks() for column in table.columns]
    lines = pa.array(found.lines[has_width] + first_line)
    has_replacements = REPLACEMENT.encode() in data or b"\0" in data
    return _without_headers(CsvBlock(lines, columns, others, has_replacements), header)


def _without_headers(block: CsvBlock, header: Sequence[str]) -> CsvBlock:
    """`block` with the rows that repeat `header` among its other records."""
    import pyarrow.compute as pc  # noqa: PLC0415 - only loading needs Arrow

    is_header = pc.equal(block.columns[0], header[0])
    if not pc.any(is_header).as_py():
        return block
    for column, name in zip(block.columns[1:], header[1:], strict=True):
        is_header = pc.and_(is_header, pc.equal(column, name))
    repeated = [CsvRecord(line, [*header]) for line in block.lines.filter(is_header).to_pylist()]
    rest = pc.invert(is_header)
    columns = [column.filter(rest) for column in block.columns]
    others = sorted([*block.others, *repeated], key=lambda record: record.line)
    return CsvBlock(block.lines.filter(rest), columns, others, block.has_replacements)


def _block_of_records(records: Sequence[CsvRecord], header: Sequence[str]) -> CsvBlock:
    import pyarrow as pa  # noqa: PLC0415 - only loading needs Arrow

    has_width = [len(record.fields) == len(header) and record.fields != [*header] for record in records]
    rows = [record for record, is_row in zip(records, has_width, strict=True) if is_row]
    others = [record for record, is_row in zip(records, has_width, strict=True) if not is_row]
    fields = list(zip(*(record.fields for record in rows), strict=True)) or [()] * len(header)
    return CsvBlock(
        pa.array([record.line for record in rows], pa.int64()),
        [pa.array(values, pa.string()) for values in fields],
        others,
        any(REPLACEMENT in text or "\0" in text for record in rows for text in record.fields),
    )
