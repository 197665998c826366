"""Each record of a file becomes a valid row or a quarantined one, with its line, column and reason."""

import io
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.pipelines.sales.file_formats import FileFormat
from dvd_rental_pipeline.pipelines.sales.file_names import SalesFile, parse_file_name
from dvd_rental_pipeline.pipelines.sales.validation import RejectedFileError, open_validation, validate_file
from dvd_rental_pipeline_tests.pipelines.sales.sales_files import HEADER, csv_text, order_line

Rows = list[dict[str, Any]]


def march() -> SalesFile:
    file = parse_file_name("sales_2024-03.csv")
    assert file is not None
    return file


@cache
def connection() -> duckdb.DuckDBPyConnection:
    return open_validation()


def validate(
    folder: Path, content: str | bytes, file_format: FileFormat | None = None, **options: Any
) -> tuple[Rows, Rows]:
    """Valid and quarantined rows."""
    raw = content.encode() if isinstance(content, str) else content
    stream, form = io.BytesIO(raw), file_format or FileFormat()
    result = validate_file(march(), stream, form, folder, connection(), **options)
    valid, quarantined = pq.read_table(result.valid).to_pylist(), pq.read_table(result.quarantined).to_pylist()
    assert (result.valid_rows, result.quarantined_rows) == (len(valid), len(quarantined))
    return valid, quarantined


def problems(quarantined: Rows) -> list[tuple[int, str | None, str]]:
    return [(row["line"], row["column_name"], row["reason"]) for row in quarantined]


def test_a_valid_record_arrives_with_its_types(tmp_path: Path) -> None:
    valid, quarantined = validate(tmp_path, csv_text([order_line(state="  ", quantity="1,030")]))
    assert quarantined == []
    (row,) = valid
    assert row["file_key"] == "2024-03"
    assert (row["period"], row["line"]) == (date(2024, 3, 1), 2)
    assert (row["order_date"], row["ship_date"]) == (date(2024, 3, 5), date(2024, 3, 9))
    assert (row["quantity"], row["unit_price"], row["state"]) == (1030, Decimal("95.70"), None)


@pytest.mark.parametrize(
    ("values", "column", "reason"),
    [
        ({"order_number": " "}, "order_number", "empty"),
        ({"order_date": "2024-02-29"}, "order_date", "not in the month of the file, 2024-03"),
        ({"order_date": "05.03.2024"}, "order_date", "not a date like %Y-%m-%d"),
        ({"order_date": "2024-03-32"}, "order_date", "not a date like %Y-%m-%d"),
        ({"ship_date": "2024-03-04"}, "ship_date", "before the order date"),
        ({"status": "Lost"}, "status", "none of Shipped, In Process, Cancelled, On Hold, Disputed, Resolved"),
        ({"quantity": "0"}, "quantity", "not positive"),
        ({"quantity": "3.5"}, "quantity", "not a whole number"),
        ({"quantity": "99999999999"}, "quantity", "not a whole number"),
        ({"unit_price": "95,70"}, "unit_price", "not an amount with at most 2 decimals"),
        ({"unit_price": "1e3"}, "unit_price", "not an amount with at most 2 decimals"),
        ({"unit_price": "-1"}, "unit_price", "negative"),
        ({"list_price": "99999999999.99"}, "list_price", "not an amount with at most 2 decimals"),
        ({"country": "U\0S"}, "country", "bytes that are not valid utf-8"),
    ],
)
def test_a_value_that_is_not_valid_is_named(
    tmp_path: Path, values: dict[str, str], column: str, reason: str
) -> None:
    valid, quarantined = validate(tmp_path, csv_text([order_line(order_line="1"), order_line(**values)]))
    assert len(valid) == 1
    assert problems(quarantined) == [(3, column, f"{column}: {reason}")]


def test_all_problems_of_a_record_are_one_row(tmp_path: Path) -> None:
    _, quarantined = validate(tmp_path, csv_text([order_line(quantity="x", unit_price="", deal_size="Huge")]))
    (row,) = quarantined
    assert row["column_name"] == "quantity"
    assert row["reason"] == (
        "quantity: not a whole number; unit_price: empty; deal_size: none of Small, Medium, Large"
    )
    assert row["record"].startswith("10100,1,2024-03-05,")


def test_delimiters_quotes_and_newlines_inside_quotes_are_values(tmp_path: Path) -> None:
    name, address = 'Toys "R" Us, Inc.', "1 Main St.\nSuite 4"
    rows = [order_line(customer_name=name, address=address), order_line(order_line="2", quantity="x")]
    valid, quarantined = validate(tmp_path, csv_text(rows))
    assert (valid[0]["customer_name"], valid[0]["address"]) == (name, address)
    assert [row["line"] for row in quarantined] == [4], "the line of the file, not the number of the record"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    valid, _ = validate(tmp_path, b"\xef\xbb\xbf" + csv_text([order_line()]).encode())
    assert len(valid) == 1


def test_windows_line_ends_and_blank_lines_are_read(tmp_path: Path) -> None:
    text = csv_text([order_line(), order_line(order_line="2")]).replace("\n", "\r\n") + "\r\n\r\n"
    valid, quarantined = validate(tmp_path, text)
    assert ([row["line"] for row in valid], quarantined) == ([2, 3], [])


def test_latin_1_is_read_when_declared_and_quarantined_otherwise(tmp_path: Path) -> None:
    content = csv_text([order_line(city="Besançon")]).encode("latin-1")
    valid, _ = validate(tmp_path, content, FileFormat(encoding="latin-1"))
    assert valid[0]["city"] == "Besançon"
    valid, quarantined = validate(tmp_path, content)
    assert (valid, problems(quarantined)) == ([], [(2, "city", "city: bytes that are not valid utf-8")])


def test_decimal_commas_thousands_and_other_dates_are_read_when_declared(tmp_path: Path) -> None:
    declared = FileFormat(delimiter=";", decimal=",", thousands=".", dates=("%d.%m.%Y", "%m/%d/%Y %H:%M"))
    rows = [
        order_line(
            unit_price="1.095,7", list_price="1234,50", order_date="05.03.2024", ship_date="3/9/2024 0:00"
        ),
        order_line(order_line="2", unit_price="1.09,70", list_price="1", order_date="05.03.2024", ship_date=""),
    ]
    valid, quarantined = validate(tmp_path, csv_text(rows, delimiter=";"), declared)
    (row,) = valid
    assert (row["unit_price"], row["list_price"]) == (Decimal("1095.70"), Decimal("1234.50"))
    assert (row["order_date"], row["ship_date"]) == (date(2024, 3, 5), date(2024, 3, 9))
    assert problems(quarantined) == [(3, "unit_price", "unit_price: not an amount with at most 2 decimals")]


def test_columns_may_be_in_any_order_and_have_other_names(tmp_path: Path) -> None:
    header = [*reversed(HEADER), "note"]
    text = csv_text([order_line(note="x")], header=header)
    text = (
        text.replace("unit_price", "Price Each")
        .replace("list_price", "MSRP")
        .replace("order_date", "ORDERDATE")
    )
    result = validate_file(march(), io.BytesIO(text.encode()), FileFormat(), tmp_path, connection())
    assert (result.valid_rows, result.quarantined_rows, result.ignored_columns) == (1, 0, ["note"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "sales_2024-03.csv is empty"),
        (csv_text([], header=HEADER[1:]), "the header lacks order_number"),
        (csv_text([order_line()], header=[*HEADER, "PHONE"]), "the header has phone more than once"),
        (csv_text([order_line()], delimiter=";"), "declare the delimiter"),
        (csv_text([order_line()]).encode("utf-16"), "the header lacks"),
        ('"order_number', "the header is not valid CSV"),
    ],
)
def test_a_file_with_a_broken_header_is_rejected(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(RejectedFileError, match=message):
        validate(tmp_path, content)


def test_a_header_alone_is_a_file_without_records(tmp_path: Path) -> None:
    assert validate(tmp_path, csv_text([])) == ([], [])


def test_records_of_another_shape_are_quarantined(tmp_path: Path) -> None:
    lines = csv_text([order_line(), order_line(order_line="2")]).splitlines()
    broken = [lines[0], lines[1], lines[0], lines[1] + ",more", "10100,3", lines[2], '10100,"4"x']
    valid, quarantined = validate(tmp_path, "\n".join(broken))
    assert [row["line"] for row in valid] == [2, 6]
    assert problems(quarantined) == [
        (3, None, "the header again"),
        (4, None, "21 fields, and the header has 20"),
        (5, None, "2 fields, and the header has 20"),
        (7, None, "not valid CSV: ',' expected after '\"'"),
    ]


def test_an_open_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    many = csv_text(
        [order_line(order_line=str(number), customer_name="Toys") for number in range(1, 5001)]
    ).splitlines()
    many.insert(2, '10100,"never closed')
    valid, quarantined = validate(tmp_path, "\n".join(many))
    (row,) = [row for row in quarantined if row["line"] == 3]
    assert row["reason"].startswith("not valid CSV: field larger than field limit")
    assert len(valid) > 3000


# A carriage return outside of quotes ends a record, and the writer of the tests does not quote it.
TEXTS = st.characters(codec="utf-8", exclude_characters="\r")

RECORDS = st.lists(
    st.one_of(
        st.builds(
            lambda quantity, city, price: order_line(quantity=quantity, city=city, unit_price=price),
            st.one_of(st.integers(-5, 5000).map(str), st.text(TEXTS, max_size=4)),
            st.text(TEXTS, max_size=8),
            st.sampled_from(["1", "1.5", "1,000.25", ",5", "", "x"]),
        ),
    ),
    max_size=40,
)


@settings(max_examples=25)
@given(records=RECORDS, batch=st.integers(1, 7))
def test_every_record_is_valid_once_or_quarantined_once(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("validated")
    valid, quarantined = validate(folder, csv_text(records), batch_records=batch)
    lines = [row["line"] for row in (*valid, *quarantined)]
    assert len(lines) == len(set(lines)) == len(records)
    for row in valid:
        assert row["quantity"] > 0
        assert row["unit_price"] >= 0
