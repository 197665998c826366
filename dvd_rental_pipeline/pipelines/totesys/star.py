"""The 11 warehouse tables: three overlapping stars of sales, purchases and payments.

The declaration is the contract of the processed files and of the tables in the warehouse: names, exact types,
order and nullability of the columns.
"""

from dataclasses import dataclass

from dvd_rental_pipeline.core.catalog import Column, Privacy

SCHEMA = "totesys"
CURRENCY_NAMES = {"GBP": "British pound", "USD": "US dollar", "EUR": "Euro"}


@dataclass(frozen=True)
class StarTable:
    """A table of the warehouse.

    Attributes:
        key: the column that identifies a row of the source. A fact has a row for each of its versions.
        columns: those of the processed files.
        source: the source table whose rows these are; empty for the calendar.
        record_id: the surrogate key of a fact, which loading assigns in the order of landing: the current
            version of a row is that with the greatest one. Empty for a dimension.
    """

    name: str
    grain: str
    key: str
    columns: tuple[Column, ...]
    source: str = ""
    record_id: str = ""

    @property
    def is_fact(self) -> bool:
        """Whether the table keeps every version."""
        return bool(self.record_id)

    @property
    def version(self) -> tuple[str, ...]:
        """The columns that identify a row of this table."""
        return (self.key, "last_updated_date", "last_updated_time") if self.is_fact else (self.key,)

    @property
    def warehouse_columns(self) -> tuple[Column, ...]:
        """The columns in the warehouse: a fact's surrogate key comes first."""
        if not self.is_fact:
            return self.columns
        return (Column(self.record_id, "integer", "Key of the version, in the order of landing"), *self.columns)


def _integer(name: str, description: str, nullable: bool = False) -> Column:
    return Column(name, "integer", description, nullable)


def _text(name: str, description: str, nullable: bool = False) -> Column:
    return Column(name, "text", description, nullable)


def _date(name: str, description: str) -> Column:
    return Column(name, "date", description)


def _money(name: str, description: str) -> Column:
    return Column(name, "numeric(10,2)", description)


_VERSION = (
    _date("created_date", "Day when the row was created, in UTC"),
    Column("created_time", "time without time zone", "Time when the row was created, in UTC"),
    _date("last_updated_date", "Day of this version, in UTC"),
    Column("last_updated_time", "time without time zone", "Time of this version, in UTC"),
)
_LOCATION = _integer("agreed_delivery_location_id", "Place of delivery, in dim_location")
_CURRENCY = _integer("currency_id", "Currency of the prices, in dim_currency")

STAR = (
    StarTable(
        "fact_sales_order",
        "one row per version of a sales order",
        "sales_order_id",
        (
            _integer("sales_order_id", "Identifier of the order"),
            *_VERSION,
            _integer("sales_staff_id", "Who sold, in dim_staff"),
            _integer("counterparty_id", "Customer, in dim_counterparty"),
            _integer("units_sold", "Number of units"),
            _money("unit_price", "Price of a unit"),
            _CURRENCY,
            _integer("design_id", "What was sold, in dim_design"),
            _date("agreed_payment_date", "Agreed day of payment"),
            _date("agreed_delivery_date", "Agreed day of delivery"),
            _LOCATION,
        ),
        "sales_order",
        "sales_record_id",
    ),
    StarTable(
        "fact_purchase_orders",
        "one row per version of a purchase order",
        "purchase_order_id",
        (
            _integer("purchase_order_id", "Identifier of the order"),
            *_VERSION,
            _integer("staff_id", "Who bought, in dim_staff"),
            _integer("counterparty_id", "Supplier, in dim_counterparty"),
            _text("item_code", "Code of the item"),
            _integer("item_quantity", "Number of items"),
            _money("item_unit_price", "Price of an item"),
            _CURRENCY,
            _date("agreed_delivery_date", "Agreed day of delivery"),
            _date("agreed_payment_date", "Agreed day of payment"),
            _LOCATION,
        ),
        "purchase_order",
        "purchase_record_id",
    ),
    StarTable(
        "fact_payment",
        "one row per version of a payment",
        "payment_id",
        (
            _integer("payment_id", "Identifier of the payment"),
            *_VERSION,
            _integer("transaction_id", "What is paid, in dim_transaction"),
            _integer("counterparty_id", "Who pays or is paid, in dim_counterparty"),
            _money("payment_amount", "Amount"),
            _integer("currency_id", "Currency of the amount, in dim_currency"),
            _integer("payment_type_id", "Kind of payment, in dim_payment_type"),
            Column("paid", "boolean", "Whether it is paid"),
            _date("payment_date", "Day when it is due"),
        ),
        "payment",
        "payment_record_id",
    ),
    StarTable(
        "dim_transaction",
        "one row per transaction",
        "transaction_id",
        (
            _integer("transaction_id", "Identifier of the transaction"),
            _text("transaction_type", "SALE or PURCHASE"),
            _integer("sales_order_id", "Sales order, if it is a sale", nullable=True),
            _integer("purchase_order_id", "Purchase order, if it is a purchase", nullable=True),
        ),
        "transaction",
    ),
    StarTable(
        "dim_staff",
        "one row per member of staff",
        "staff_id",
        (
            _integer("staff_id", "Identifier of the member of staff"),
            _text("first_name", "First name"),
            _text("last_name", "Last name"),
            _text("department_name", "Name of the department"),
            _text("location", "Place of the department", nullable=True),
            Column("email_address", "text", "Email address", privacy=Privacy.PERSONAL),
        ),
        "staff",
    ),
    StarTable(
        "dim_payment_type",
        "one row per kind of payment",
        "payment_type_id",
        (_integer("payment_type_id", "Identifier of the kind"), _text("payment_type_name", "Name of the kind")),
        "payment_type",
    ),
    StarTable(
        "dim_location",
        "one row per address",
        "location_id",
        (
            _integer("location_id", "Identifier of the address"),
            _text("address_line_1", "First line"),
            _text("address_line_2", "Second line", nullable=True),
            _text("district", "District", nullable=True),
            _text("city", "City"),
            _text("postal_code", "Postal code"),
            _text("country", "Country"),
            Column("phone", "text", "Phone number", privacy=Privacy.PERSONAL),
        ),
        "address",
    ),
    StarTable(
        "dim_design",
        "one row per design",
        "design_id",
        (
            _integer("design_id", "Identifier of the design"),
            _text("design_name", "Name; several designs share one"),
            _text("file_location", "Folder of the design's file"),
            _text("file_name", "Name of the design's file"),
        ),
        "design",
    ),
    StarTable(
        "dim_date",
        "one row per day from 2020 to 2030",
        "date_id",
        (
            _date("date_id", "The day"),
            _integer("year", "Year"),
            _integer("month", "Month, 1 to 12"),
            _integer("day", "Day of the month"),
            _integer("day_of_week", "Day of the week of ISO 8601: Monday is 1"),
            _text("day_name", "Name of the day of the week"),
            _text("month_name", "Name of the month"),
            _integer("quarter", "Quarter, 1 to 4"),
        ),
    ),
    StarTable(
        "dim_currency",
        "one row per currency",
        "currency_id",
        (
            _integer("currency_id", "Identifier of the currency"),
            _text("currency_code", "Code of ISO 4217"),
            _text("currency_name", "Name of the currency"),
        ),
        "currency",
    ),
    StarTable(
        "dim_counterparty",
        "one row per customer or supplier",
        "counterparty_id",
        (
            _integer("counterparty_id", "Identifier of the counterparty"),
            _text("counterparty_legal_name", "Legal name"),
            _text("counterparty_legal_address_line_1", "First line of the legal address"),
            _text("counterparty_legal_address_line_2", "Second line of the legal address", nullable=True),
            _text("counterparty_legal_district", "District of the legal address", nullable=True),
            _text("counterparty_legal_city", "City of the legal address"),
            _text("counterparty_legal_postal_code", "Postal code of the legal address"),
            _text("counterparty_legal_country", "Country of the legal address"),
            Column(
                "counterparty_legal_phone_number", "text", "Phone number of the legal address",
                privacy=Privacy.PERSONAL,
            ),
        ),
        "counterparty",
    ),
)  # fmt: skip

DELETED_ROW = StarTable(
    "deleted_row",
    "one row per row of a fact that was deleted in the source",
    "row_id",
    (_text("table_name", "Table of the warehouse"), _integer("row_id", "Identifier of the row")),
)
"""Kept beside the star, in the schema of loading: a fact keeps the history of what was deleted."""
