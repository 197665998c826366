"""Reads CSV in bounded memory, and numbers each record by the line on which it begins."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# A longer line is read in pieces, so that a file without line breaks does not fill the memory.
MAX_LINE = 1 << 20
MAX_RECORD_TEXT = 2000
REPLACEMENT = "\ufffd"
"""Stands in a record for bytes that are not valid in the file's encoding."""


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


class _Lines:
    """The lines of a stream; remembers those of the present record."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self.present: list[str] = []

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(MAX_LINE):
            self.present.append(line)
            yield line


def read_records(stream: BinaryIO, *, encoding: str, delimiter: str) -> Iterator[CsvRecord]:
    """The records of a file; blank lines are not records.

    A byte order mark is skipped. Bytes that are not valid in `encoding` become `REPLACEMENT`.
    """
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    lines = _Lines(io.TextIOWrapper(stream, encoding=codec, errors="replace", newline=""))
    # Strict: a quote that is never closed is an error, not a field as long as the file.
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        lines.present.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            text = "".join(lines.present[:20])[:MAX_RECORD_TEXT]
            yield CsvRecord(line, [], f"not valid CSV: {error}", text)
            continue
        if fields is None:
            return
        if fields:
            yield CsvRecord(line, fields)


def as_text(fields: list[str], delimiter: str) -> str:
    """The record as one line of CSV, cut at `MAX_RECORD_TEXT` characters."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow(fields)
    return text.getvalue()[:MAX_RECORD_TEXT]
