"""How rows of the source become rows of the star, as DuckDB SQL, and when they are quarantined.

The views that the statements read are those that `transform.py` creates: `new <table>` has the rows that the
run landed, `live <table>` those that are live after it, `landed transaction` every transaction landed so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dvd_rental_pipeline.ingestion.files.parquet_session import literal, quote
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.star import CURRENCY_NAMES

LIVE_TABLES = ("address", "counterparty", "currency", "department", "design", "payment_type", "staff")
"""The small tables that dimensions are joined from, and that facts refer to."""

_NAMES = ", ".join(f"({literal(code)}, {literal(name)})" for code, name in CURRENCY_NAMES.items())

ACCEPTED: Mapping[str, str] = {
    "staff": 'select staff_id from "live staff" semi join "live department" using (department_id)',
    "counterparty": 'select counterparty_id from "live counterparty" semi join "live address"'
    " on address_id = legal_address_id",
    "currency": f'select currency_id from "live currency" where currency_code in {tuple(CURRENCY_NAMES)}',
    "address": 'select address_id from "live address"',
    "design": 'select design_id from "live design"',
    "payment_type": 'select payment_type_id from "live payment_type"',
    "transaction": 'select transaction_id from "landed transaction"',
}
"""The keys of the dimensions, by source table."""


@dataclass(frozen=True)
class FactRule:
    """A fact: expressions by column of the warehouse where the name differs, text dates, references."""

    columns: Mapping[str, str] = field(default_factory=dict)
    dates: tuple[str, ...] = ("agreed_payment_date", "agreed_delivery_date")
    references: Mapping[str, str] = field(default_factory=dict)

    def expression(self, column: str) -> str:
        """The expression of a column of the warehouse."""
        if column in self.dates:
            return f"try_cast({quote(column)} as date)"
        return self.columns.get(column, _VERSION.get(column, quote(column)))

    def reasons(self, source: str) -> Sequence[str]:
        """Expressions of why a row of `source` is quarantined; NULL if it is not."""
        table = next(table for table in TOTESYS.tables if table.name == source)
        missing = [
            f"case when {quote(column.name)} is null then '{column.name} is missing' end"
            for column in table.columns
            if not column.nullable
        ]
        malformed = [
            rf"case when not regexp_full_match({date}, '\d{{4}}-\d\d-\d\d') or try_cast({date} as date) is null"
            f" then '{date} is not a date: ' || {date} end"
            for date in self.dates
        ]
        orphans = [
            f"case when {column} is not null and {column} not in ({ACCEPTED[parent]})"
            f" then 'unknown {parent}: {column} ' || {column} end"
            for column, parent in self.references.items()
        ]
        return [*missing, *malformed, *orphans]


_VERSION = {
    "created_date": "cast(created_at as date)",
    "created_time": "cast(created_at as time)",
    "last_updated_date": "cast(last_updated as date)",
    "last_updated_time": "cast(last_updated as time)",
}
_ORDER = {
    "staff_id": "staff",
    "counterparty_id": "counterparty",
    "currency_id": "currency",
    "agreed_delivery_location_id": "address",
}
FACTS: Mapping[str, FactRule] = {
    "fact_sales_order": FactRule({"sales_staff_id": "staff_id"}, references={**_ORDER, "design_id": "design"}),
    "fact_purchase_orders": FactRule(references=_ORDER),
    "fact_payment": FactRule(
        dates=("payment_date",),
        references={
            "transaction_id": "transaction",
            "counterparty_id": "counterparty",
            "currency_id": "currency",
            "payment_type_id": "payment_type",
        },
    ),
}

DIMENSIONS: Mapping[str, str] = {
    "dim_transaction": "select transaction_id, transaction_type, sales_order_id, purchase_order_id"
    ' from "new transaction"',
    "dim_payment_type": 'select payment_type_id, payment_type_name from "new payment_type"',
    "dim_design": 'select design_id, design_name, file_location, file_name from "new design"',
    "dim_location": "select address_id as location_id, address_line_1, address_line_2, district, city,"
    ' postal_code, country, phone from "new address"',
    "dim_currency": 'select currency_id, currency_code, currency_name from "new currency"'
    f" join (values {_NAMES}) as names (currency_code, currency_name) using (currency_code)",
    "dim_staff": """
        select staff_id, first_name, last_name, department_name, location, email_address
        from "live staff" join "live department" using (department_id)
        where staff_id in (select staff_id from "new staff")
            or department_id in (select department_id from "new department")
    """,
    "dim_counterparty": """
        select
            counterparty_id, counterparty_legal_name, address_line_1 as counterparty_legal_address_line_1,
            address_line_2 as counterparty_legal_address_line_2, district as counterparty_legal_district,
            city as counterparty_legal_city, postal_code as counterparty_legal_postal_code,
            country as counterparty_legal_country, phone as counterparty_legal_phone_number
        from "live counterparty" join "live address" on address_id = legal_address_id
        where counterparty_id in (select counterparty_id from "new counterparty")
            or address_id in (select address_id from "new address")
    """,
    "dim_date": """
        select
            cast(day as date) as date_id, year(day) as year, month(day) as month, day(day) as day,
            isodow(day) as day_of_week, dayname(day) as day_name, monthname(day) as month_name,
            quarter(day) as quarter
        from generate_series(timestamp '2020-01-01', timestamp '2030-12-31', interval 1 day) as days (day)
    """,
}
"""The rows of each dimension that a run adds or changes."""

DIMENSION_FAULTS: Mapping[str, str] = {
    "staff": "select staff_id, 'unknown department: department_id ' || department_id as reason"
    ' from "live staff" anti join "live department" using (department_id)',
    "counterparty": "select counterparty_id, 'unknown address: legal_address_id ' || legal_address_id as reason"
    ' from "live counterparty" anti join "live address" on address_id = legal_address_id',
    "currency": "select currency_id, 'unknown currency: ' || currency_code as reason"
    f' from "live currency" where currency_code not in {tuple(CURRENCY_NAMES)}',
}
"""Rows that no dimension can show, by source table: their key, and the reason."""
