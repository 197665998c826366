"""What is in the sources of all pipelines and in the warehouse, by SQL and CSV of the test's own."""

import csv
import re
from pathlib import Path
from typing import Any

import duckdb

from dvd_rental_pipeline_tests.end_to_end.four_pipelines import FourPipelines

RENTAL_AMOUNTS = {
    "film": "sum(film_id * rental_rate)",
    "payment": "sum(payment_id * amount)",
    "rental": "sum(rental_id * (case when return_date is null then 1 else 2 end))",
}
MALFORMED_DATE = "in ('', '2025-02-30', '14.03.2025', 'tomorrow')"


def query_warehouse(four: FourPipelines, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(four.settings.warehouse_path, read_only=True) as warehouse:
        return warehouse.execute(statement).fetchall()


def rentals_in_source(four: FourPipelines) -> dict[str, tuple[Any, ...]]:
    """Rows and a sum of values of each table."""
    return {
        table: four.sources.query("rentals", f"select count(*), {amount} from {table}")[0]
        for table, amount in RENTAL_AMOUNTS.items()
    }


def rentals_in_warehouse(four: FourPipelines) -> dict[str, tuple[Any, ...]]:
    """The same of the rows that are not deleted."""
    statement = "select count(*), {} from dvd_rental.{} where _ab_cdc_deleted_at is null"
    return {
        table: query_warehouse(four, statement.format(amount, table))[0]
        for table, amount in RENTAL_AMOUNTS.items()
    }


def users_in_source(four: FourPipelines) -> set[tuple[str, str]]:
    """Identifiers and e-mail addresses."""
    return set(four.sources.query("signups", "select user_uuid::text, email from signups.users"))


def users_in_warehouse(four: FourPipelines) -> set[tuple[str, str]]:
    statement = "select cast(user_uuid as varchar), email from signups.users where _ab_cdc_deleted_at is null"
    return {(identifier, email) for identifier, email in query_warehouse(four, statement)}


def orders_in_source(four: FourPipelines) -> set[tuple[int, int]]:
    """Identifiers and units of the sales orders whose dates are valid."""
    return set(
        four.sources.query(
            "totesys",
            "select sales_order_id, units_sold from sales_order"
            f" where agreed_delivery_date not {MALFORMED_DATE} and agreed_payment_date not {MALFORMED_DATE}",
        )
    )


def orders_in_warehouse(four: FourPipelines) -> set[tuple[int, int]]:
    """The same of the last version of each order that was not deleted."""
    return {
        (order, units)
        for order, units in query_warehouse(
            four,
            "select sales_order_id, arg_max(units_sold, (last_updated_date, last_updated_time))"
            " from totesys.fact_sales_order"
            " where sales_order_id not in"
            " (select row_id from totesys_lake.deleted_row where table_name = 'fact_sales_order')"
            " group by sales_order_id",
        )
    }


def records_in_files(four: FourPipelines) -> dict[str, int]:
    """Records by file, of the last revision of each file."""
    last: dict[str, Path] = {}
    for file in sorted(four.sources.drops.glob("*.csv"), key=_revision):
        last[re.sub(r"\.r\d+", "", file.name)] = file
    return {file.name: len(_read_csv(file)) - 1 for file in last.values()}


def records_in_warehouse(four: FourPipelines) -> dict[str, int]:
    """Order lines and quarantined records by file."""
    return dict(
        query_warehouse(
            four,
            "select file_name, count(*) from"
            " (select file_name from sales.order_lines union all select file_name from sales.quarantine)"
            " group by file_name",
        )
    )


def _revision(file: Path) -> int:
    found = re.search(r"\.r(\d+)", file.name)
    return int(found[1]) if found else 1


def _read_csv(file: Path) -> list[list[str]]:
    regional = "_emea" in file.name
    text = file.read_text(encoding="latin-1" if regional else "utf-8")
    return [row for row in csv.reader(text.splitlines(), delimiter=";" if regional else ",") if row]


def assert_nothing_is_lost(four: FourPipelines) -> None:
    """Assert that the tables of each pipeline have what its source has.

    Deleted orders stay until the nightly comparison.
    """
    four.sync_users()
    assert rentals_in_warehouse(four) == rentals_in_source(four)
    assert users_in_warehouse(four) == users_in_source(four)
    assert orders_in_source(four) - orders_in_warehouse(four) == set()
    assert records_in_warehouse(four) == records_in_files(four)
