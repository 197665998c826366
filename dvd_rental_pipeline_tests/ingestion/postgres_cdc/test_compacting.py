"""Compacting by column gives the same result as compacting row by row."""

from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.change_batch import CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_columns import compact_columns
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import RowCompactor
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.column_types import PgType, column_type
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceColumn, SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import MessageBlock, RowMessages

TEXT = column_type(PgType(25, -1, "textout", 0, ""))
Row = list[str | None]


def relation(*key: str) -> SourceRelation:
    columns = tuple(
        SourceColumn(name, number, 25, -1, "text", "1", {}, missing=False, type=TEXT)
        for number, name in enumerate("abcd", start=1)
    )
    return SourceRelation(
        "public", "t", 7, "r", "p", "d", readable=True, key=key, key_is_deferrable=False, identity_key=(),
        columns=columns, last_number=4, last_dropped_number=0, storage="1", row_estimate=0,
        pages=0,
    )  # fmt: skip


def sent(row: Row) -> bytes:
    """A row in the protocol's form; "u" stands for a value that is not sent."""
    values = (
        {None: b"n", "u": b"u"}.get(value) or b"t" + pack("!I", len(text)) + text
        for value, text in ((value, (value or "").encode()) for value in row)
    )
    return pack("!H", len(row)) + b"".join(values)


def message(kind: str, row: Row, mark: str = "N") -> bytes:
    return kind.encode() + pack("!I", 7) + mark.encode() + sent(row)


def rows(
    messages: list[bytes], lsns: list[int], positions: tuple[int | None, ...] | None = None
) -> RowMessages:
    """Row messages in a block with other messages between them."""
    between = b"O" + bytes(20)
    data = b"".join(between + each for each in messages)
    ends = np.cumsum([len(between) + len(each) for each in messages])
    starts = ends - np.array([len(each) for each in messages])
    block = MessageBlock(np.frombuffer(data, np.uint8), starts, ends)
    times = np.array(lsns, np.int64) * 1_000_001
    return RowMessages(block, np.arange(len(messages)), np.array(lsns, np.int64), times, positions)


def comparable(compacted: CompactedChanges | None) -> list[tuple[object, ...]]:
    """Changes as sorted tuples, for comparison."""
    if compacted is None:
        return []
    columns = [*compacted.texts, compacted.deleted, compacted.lsns, compacted.times]
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True), key=repr)


VALUE = st.sampled_from([None, "", "x", "nt", "a long one: " * 9, "é"])
CHANGE = st.tuples(st.sampled_from("IUD"), st.sampled_from("123"), st.sampled_from(["1", "10"]), VALUE, VALUE)


@settings(max_examples=300)
@given(
    changes=st.lists(st.tuples(CHANGE, st.booleans()), min_size=1, max_size=30),
    key=st.sampled_from([("a",), ("a", "b"), ("b", "a")]),
    cut=st.integers(0, 30),
    positions=st.sampled_from([None, (0, 1, 3, None), (0, 1, None, 2)]),
)
def test_compacting_by_column_equals_compacting_by_row(
    changes: list[tuple[tuple[str, str, str, str | None, str | None], bool]],
    key: tuple[str, ...],
    cut: int,
    positions: tuple[int | None, ...] | None,
) -> None:
    messages, lsns, lsn = [], [], 1
    for (kind, *row), new_transaction in changes:
        lsn += new_transaction
        lsns.append(lsn)
        messages.append(
            message(kind, row if kind != "D" else [*row[:2], None, None], "K" if kind == "D" else "N")
        )
    runs = [rows(messages[:cut], lsns[:cut], positions), rows(messages[cut:], lsns[cut:], positions)]
    runs = [run for run in runs if len(run)]
    by_row = RowCompactor(relation(*key), keep_superseded=True)
    for run in runs:
        by_row.add(run)
    by_column = compact_columns(relation(*key), runs, keep_superseded=True)
    assert by_column is not None
    current, superseded = by_column
    current_by_row = by_row.changes()
    assert current_by_row is not None
    assert comparable(current) == comparable(current_by_row)
    assert comparable(superseded) == comparable(by_row.superseded())
    assert _expected_by_key(current, key) == _expected_by_key(current_by_row, key)


def _expected_by_key(compacted: CompactedChanges, key: tuple[str, ...]) -> dict[tuple[object, ...], object]:
    keys = zip(*(compacted.texts["abcd".index(name)].to_pylist() for name in key), strict=True)
    return dict(zip(keys, compacted.expected.to_pylist(), strict=True))


@pytest.mark.parametrize(
    "odd",
    [
        message("U", ["1", "u", "x", "x"]),
        message("U", ["1", None, None, None], "K") + b"N" + sent(["2", "x", "x", "x"]),
        message("I", ["1", "x", "x"]),
        message("I", ["1", "x", "x", "x"]).replace(b"t", b"b", 1),
    ],
    ids=["a value that was not sent", "another key", "another shape", "an unknown kind of value"],
)
def test_unusual_changes_are_left_to_compacting_by_row(odd: bytes) -> None:
    usual = message("I", ["0", "x", "x", "x"])
    assert compact_columns(relation("a"), [rows([usual], [1])], keep_superseded=False) is not None
    assert compact_columns(relation("a"), [rows([usual, odd], [1, 1])], keep_superseded=False) is None
