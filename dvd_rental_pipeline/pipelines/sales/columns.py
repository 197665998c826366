"""The columns of a sales file, and the raw tables that they become."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dvd_rental_pipeline.core.catalog import Column, Domain, Privacy, Table

if TYPE_CHECKING:
    import pyarrow as pa


class FieldKind(StrEnum):
    """What the text of a field must be."""

    TEXT = "text"
    WHOLE = "whole number"
    AMOUNT = "amount"
    DATE = "date"


@dataclass(frozen=True)
class FileColumn:
    """A column of a file. `accepted` are the only values, or empty for any."""

    name: str
    kind: FieldKind
    description: str
    required: bool = True
    privacy: Privacy = Privacy.PUBLIC
    accepted: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def sql_type(self) -> str:
        """The type in every warehouse."""
        return {
            FieldKind.TEXT: "varchar",
            FieldKind.WHOLE: "integer",
            FieldKind.AMOUNT: "decimal(12, 2)",
            FieldKind.DATE: "date",
        }[self.kind]


STATUSES = ("Shipped", "In Process", "Cancelled", "On Hold", "Disputed", "Resolved")
_PERSONAL = Privacy.PERSONAL

FILE_COLUMNS = (
    FileColumn("order_number", FieldKind.TEXT, "Number of the order"),
    FileColumn("order_line", FieldKind.WHOLE, "Number of the line", aliases=("orderlinenumber", "line")),
    FileColumn("order_date", FieldKind.DATE, "Day of the order, in the month of the file"),
    FileColumn("ship_date", FieldKind.DATE, "Day of shipping; empty before", required=False),
    FileColumn("status", FieldKind.TEXT, "State of the order", accepted=STATUSES),
    FileColumn("quantity", FieldKind.WHOLE, "Number of pieces", aliases=("quantityordered",)),
    FileColumn("unit_price", FieldKind.AMOUNT, "Price of a piece", aliases=("priceeach",)),
    FileColumn("product_code", FieldKind.TEXT, "Code of the product"),
    FileColumn("product_line", FieldKind.TEXT, "Product line"),
    FileColumn("list_price", FieldKind.AMOUNT, "List price on the day of the order", aliases=("msrp",)),
    FileColumn("customer_name", FieldKind.TEXT, "Name of the customer, a company"),
    FileColumn("contact_name", FieldKind.TEXT, "Person to contact", False, _PERSONAL, aliases=("contact",)),
    FileColumn("phone", FieldKind.TEXT, "Phone number", False, _PERSONAL),
    FileColumn("address", FieldKind.TEXT, "Street and number", False, _PERSONAL, aliases=("addressline1",)),
    FileColumn("city", FieldKind.TEXT, "City", False),
    FileColumn("state", FieldKind.TEXT, "State or province", False),
    FileColumn("postal_code", FieldKind.TEXT, "Postal code", False),
    FileColumn("country", FieldKind.TEXT, "Country"),
    FileColumn("territory", FieldKind.TEXT, "Sales territory"),
    FileColumn("deal_size", FieldKind.TEXT, "Size of the order line", accepted=("Small", "Medium", "Large")),
)

_ORIGIN = (
    Column("file_key", "varchar", "Period and part of the file, which all its revisions share"),
    Column("file_name", "varchar", "Name of the file"),
    Column("period", "date", "First day of the month of the file"),
    Column("line", "bigint", "Line of the file on which the record begins"),
)

SALES = Domain(
    name="sales",
    source_schema="sales",
    description="Order lines that were dropped as CSV files, one or more per month.",
    owner="team:sales",
    ingestion_columns=(),
    tables=(
        Table(
            "order_lines",
            "one row per valid record of the present revision of each file",
            ("file_key", "line"),
            (
                *_ORIGIN,
                *(
                    Column(each.name, each.sql_type, each.description, not each.required, each.privacy)
                    for each in FILE_COLUMNS
                ),
            ),
        ),
        Table(
            "quarantine",
            "one row per record of the present revision of each file that is not valid",
            ("file_key", "line"),
            (
                *_ORIGIN,
                Column("column_name", "varchar", "First invalid column; null for the whole record", True),
                Column("reason", "varchar", "What is not valid, for each such column"),
                Column("record", "varchar", "The record, up to 2,000 characters", privacy=_PERSONAL),
            ),
        ),
        Table(
            "files",
            "one row per file that was read",
            ("file_name",),
            (
                Column("file_name", "varchar", "Name of the file"),
                Column("file_key", "varchar", "Period and part, which all revisions share"),
                Column("revision", "integer", "Revision: a higher one replaces a lower one"),
                Column("status", "varchar", "loaded, replaced by a higher revision, or rejected"),
                Column("reason", "varchar", "Why it was rejected", True),
                Column("sha256", "varchar", "Hash of the content"),
                Column("records", "bigint", "Records without the header"),
                Column("quarantined", "bigint", "Records that are not valid"),
                Column("lines_added", "bigint", "Order lines that the file key did not have before"),
                Column("lines_changed", "bigint", "Order lines with other values than before"),
                Column("lines_removed", "bigint", "Order lines that are not in the file any more"),
                Column("loaded_at", "timestamp", "When it was read, UTC"),
            ),
        ),
    ),
)
"""The raw tables."""


def normalize_header(name: str) -> str:
    """The name of a column without case, spaces and underscores."""
    return re.sub(r"[\s_]+", "", name).lower()


def arrow_schema(table_name: str) -> "pa.Schema":
    """The schema of a raw table as it is loaded."""
    import pyarrow as pa  # noqa: PLC0415 - only loading needs Arrow

    types = {
        "varchar": pa.string(),
        "bigint": pa.int64(),
        "integer": pa.int32(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "decimal(12, 2)": pa.decimal128(12, 2),
    }
    (table,) = [table for table in SALES.tables if table.name == table_name]
    return pa.schema([pa.field(column.name, types[column.type]) for column in table.columns])
