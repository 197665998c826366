"""Records that are read in blocks are those of Python's strict CSV reader, with their lines."""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.files.csv_blocks import CsvReader, CsvRecord

HEADER = ["a", "b"]
# What decides on the borders of records, and characters of one to four bytes.
PIECES = ["a", "b", ",", ",", '"', '"', '""', "\n", "\n", "\r\n", "\r", " ", "\0", "é", "€", "🎞"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
REGULAR = st.lists(
    st.lists(st.text(st.sampled_from('ab,"\né'), max_size=5), min_size=1, max_size=3), max_size=30
)


def read_in_blocks(content: bytes, encoding: str = "utf-8", block_bytes: int = 1 << 20) -> list[CsvRecord]:
    reader = CsvReader(io.BytesIO(content), encoding=encoding, delimiter=",", block_bytes=block_bytes)
    records = []
    for block in reader.read_blocks(HEADER):
        rows = zip(*(column.to_pylist() for column in block.columns), strict=True)
        found = [CsvRecord(line, [*row]) for line, row in zip(block.lines.to_pylist(), rows, strict=True)]
        texts = [text for record in found for text in record.fields]
        assert block.has_replacements or not any("\0" in text or "\ufffd" in text for text in texts)
        assert all(record.fields != HEADER and not record.error for record in found)
        records += sorted([*found, *block.others], key=lambda record: record.line)
    return records


def read_at_once(content: bytes, encoding: str = "utf-8") -> Iterator[CsvRecord]:
    text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors="replace", newline="")
    reader = csv.reader(text, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield CsvRecord(line, [], f"not valid CSV: {error}")
            continue
        if fields is None:
            return
        if fields:
            yield CsvRecord(line, fields)


def without_text(records: list[CsvRecord]) -> list[CsvRecord]:
    return [CsvRecord(record.line, record.fields, record.error) for record in records]


@settings(max_examples=400)
@given(text=TEXTS, block_bytes=st.integers(1, 70))
@example('a,b\r\n"a"x,b\na,b', 5)
@example('a,"b\n', 3)
@example('"a,b', 100)
@example('a,b\n\n\r\na"b,"\n', 8)
@example("\n", 1)
def test_any_text_is_split_as_pythons_strict_reader_splits_it(text: str, block_bytes: int) -> None:
    content = text.encode()
    assert without_text(read_in_blocks(content, block_bytes=block_bytes)) == list(read_at_once(content))


@settings(max_examples=150)
@given(
    rows=REGULAR,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    block_bytes=st.integers(1, 200),
)
def test_what_a_writer_wrote_is_read(rows: list[list[str]], quoting: int, end: str, block_bytes: int) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)  # type: ignore[arg-type]
    records = read_in_blocks(text.getvalue().encode(), block_bytes=block_bytes)
    assert [record.fields for record in records] == rows
    assert without_text(records) == list(read_at_once(text.getvalue().encode()))


@settings(max_examples=100)
@given(content=st.binary(max_size=40), encoding=st.sampled_from(["utf-8", "latin-1", "utf-16-le", "shift-jis"]),
       block_bytes=st.integers(1, 20))  # fmt: skip
def test_any_bytes_are_decoded_as_a_whole(content: bytes, encoding: str, block_bytes: int) -> None:
    assert without_text(read_in_blocks(content, encoding, block_bytes)) == list(
        read_at_once(content, "utf-8-sig" if encoding == "utf-8" else encoding)
    )


def test_a_file_without_line_ends_is_read_in_pieces() -> None:
    content = b"x" * 3_000_000 + "é".encode() * 700_000 + b"\na,1\n"
    records = read_in_blocks(content)
    assert records[-1].fields == ["a", "1"]
    assert all(record.error for record in records[:-2])
    assert max(len(record.text) for record in records) == 2000


@pytest.mark.parametrize("size", [100_000, 140_000])
def test_a_long_field_is_read_up_to_the_limit_of_python(size: int) -> None:
    content = b'a,"' + b"y" * size + b'"\nc,d\n'
    assert without_text(read_in_blocks(content)) == list(read_at_once(content))
