"""Reports with rows that a test chooses: tables of a DuckDB file, as the manifest declares them; no dbt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from dvd_rental_pipeline.publishing.report_pages.content import Content, PageDeclaration
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.report_pages.rendering import write_page
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader
from dvd_rental_pipeline.publishing.report_pages.vega_bundle import publish_vega
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBSession, DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import Rows
from dvd_rental_pipeline_tests.duckdb_files import open_file

AS_OF = datetime(2026, 3, 10, 12, 30)
HOSTILE = "</script><img src=x onerror=document.title='hacked'>"
PERSON = {
    "customer_name": "Mary Unmistakable",
    "email": "mary.unmistakable@example.org",
    "phone": "+15550123987",
    "address": "47 Unmistakable Road",
    "postal_code": "QX-99871",
}


class ReportTables:
    """All reports and marts of `manifest`, empty at first."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
        self._file = folder / "warehouse.duckdb"
        self._connection: duckdb.DuckDBPyConnection | None = None
        with open_file(self._file, name="warehouse") as connection:
            for schema in ("reports", "marts"):
                connection.execute(f"create schema {schema}")
            for model in manifest.models.values():
                if model.schema in {"reports", "marts"}:
                    columns = ", ".join(
                        f'"{column.name}" {column.data_type or "varchar"}' for column in model.columns
                    )
                    connection.execute(f"create table {model.schema}.{model.name} ({columns})")

    @contextmanager
    def inserting(self) -> Iterator[None]:
        """Rows that are added meanwhile are written together at the end: opening the file costs most."""
        with open_file(self._file, name="warehouse") as connection:
            self._connection = connection
            yield
            self._connection = None

    def insert(self, table: str, *rows: dict[str, Any]) -> None:
        """Add rows; columns that a row lacks are null."""
        if self._connection is None:
            with self.inserting():
                self.insert(table, *rows)
            return
        for row in rows:
            places = ", ".join("?" for _ in row)
            self._connection.execute(
                f"insert into {table} ({', '.join(row)}) values ({places})", list(row.values())
            )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with open_file(self._file, read_only=True, name="warehouse") as connection:
            return connection.execute(sql).fetchall()

    def content(self, page: PageDeclaration) -> Content:
        """What `page` shows of these tables."""
        private = self.manifest.private_columns()
        with self.reading() as query:
            return page.build(ReportReader(query, self.manifest, private, page.reports))

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], Rows]]:
        """Executes queries over one connection: opening the file for each would cost most."""
        with open_file(self._file, read_only=True, name="warehouse") as connection:
            yield DuckDBSession(connection).execute

    def publish(self, folder: Path, workspace: Path) -> None:
        """All report pages, published into `folder`."""
        site = FolderSite(path=str(folder))
        publish_vega(site)
        for page in REPORT_PAGES:
            pages = workspace / page.name
            pages.mkdir(parents=True)
            write_page(page, self.content(page), pages)
            site.publish(page.name, pages)


def fill(tables: ReportTables, *, stores: int = 2, months: int = 15, countries: int = 4) -> None:
    """A small business: every report that a page reads has rows, and one film has a hostile title."""
    with tables.inserting():
        _fill(tables, stores, months, countries)


def _fill(tables: ReportTables, stores: int, months: int, countries: int) -> None:
    names = {number: f"Store {number}, City {number}" for number in range(1, stores + 1)}
    starts = [f"{2025 + index // 12}-{index % 12 + 1:02}-01" for index in range(months)]
    tables.insert("marts.data_as_of", {"as_of": AS_OF})
    for number, name in names.items():
        tables.insert(
            "reports.sales_by_store",
            {"store_id": number, "store_name": name, "manager_name": "Jo Manager", "revenue": 100 * number},
        )
        tables.insert(
            "reports.revenue_at_risk",
            {
                **{"store_id": number, "store_name": name, "unpaid_rentals": 3, "unpaid_amount": 8.97},
                **{"overdue_copies": 2, "overdue_cost": 41.98, "amount_at_risk": 50.95},
            },
        )
        for index, month in enumerate(starts):
            amount = 10 * (index + number)
            tables.insert(
                "reports.revenue_by_month",
                {
                    **{"month": month, "store_id": number, "store_name": name, "revenue": amount},
                    **{"payments": index + number, "paying_customers": number, "average_payment": 10},
                },
            )
            tables.insert(
                "reports.monthly_sales_by_country",
                *(
                    {
                        **{"month": month, "store_id": number, "store_name": name},
                        **{"country_id": country, "country": f"Country {country}"},
                        **{"payments": 1, "revenue": index + number + country / 100},
                    }
                    for country in range(countries)
                ),
            )
    tables.insert(
        "reports.revenue_trend",
        *(
            {
                **{"month": month, "status": "complete" if month < "2026-03" else "running"},
                **{"payments": index + 1, "revenue": 20.5 * (index + 1), "forecast_revenue": 100},
            }
            for index, month in enumerate(starts)
        ),
        *(
            {"month": f"2026-{number:02}-01", "status": "forecast", "forecast_revenue": 150 + number}
            for number in (4, 5, 6)
        ),
    )
    for rank, title in enumerate((HOSTILE, "=HYPERLINK(1)", "Calm Harbor"), 1):
        film = {"film_id": rank, "title": title, "category": "Action"}
        ranks = {"rentals": 50 - rank, "revenue": 90 - rank, "rental_rank": rank, "revenue_rank": rank}
        tables.insert("reports.top_films", film | ranks)
        for number in names:
            place = {"store_id": number}
            tables.insert(
                "reports.film_performance_by_store", film | place | ranks | {"rentals": 20 - rank - number}
            )
            tables.insert(
                "reports.film_availability",
                film | place | {"copies": 3, "on_loan": 1, "available": 2, "status": "in stock"},
            )
            tables.insert(
                "reports.films_to_restock",
                film | place | {"copies": 3, "rentals": 20, "copies_to_buy": rank, "restock_rank": rank},
            )
            tables.insert(
                "reports.idle_copies",
                film | place | {"inventory_id": rank, "rentals": 0, "replacement_cost": 9.99},
            )
            _insert_overdue(tables, rank, title, number)
    for rank, name in enumerate(("Action", "Drama"), 1):
        ranks = {"rentals": 60 - rank, "revenue": 99 - rank, "rental_rank": rank, "revenue_rank": rank}
        tables.insert("reports.genre_performance", {"category": name} | ranks)
        tables.insert("reports.rating_performance", {"rating": f"PG-{rank}"} | ranks)
        tables.insert("reports.top_actors", {"actor_id": rank, "actor_name": f"Actor {rank}"} | ranks)
        for number in names:
            place = {"store_id": number}
            tables.insert("reports.genre_performance_by_store", {"category": name} | place | ranks)
            tables.insert("reports.rating_performance_by_store", {"rating": f"PG-{rank}"} | place | ranks)
            tables.insert(
                "reports.actor_performance_by_store",
                {"actor_id": rank, "actor_name": f"Actor {rank}"} | place | ranks,
            )
            tables.insert(
                "reports.late_returns",
                {"category": name} | place | {"rentals": 10, "late": 3 + number, "on_time": 5, "open": 2},
            )
        for month in starts:
            tables.insert(
                "reports.monthly_sales_by_rating",
                {"month": month, "rating": f"PG-{rank}", "payments": 2, "revenue": 5.5 * rank},
            )
        tables.insert(
            "reports.segment_behaviour",
            {
                **{"segment": f"Segment {rank}", "customers": 10 * rank, "customer_share_pct": 50},
                **{"rentals": 40, "revenue": 300 - rank, "revenue_share_pct": 50, "rentals_per_customer": 4},
                **{"revenue_per_customer": 9.5, "late_rate_pct": 40, "favourite_category": "Drama"},
            },
        )
        for category in ("Action", "Drama"):
            tables.insert(
                "reports.genre_affinity",
                {"segment": f"Segment {rank}", "category": category, "rentals": 7, "lift": 0.9 + rank / 10},
            )
    for country in range(countries):
        place = {"country_id": country, "country": f"Country {country}"}
        tables.insert(
            "reports.sales_by_country",
            place | {"customers": 5, "rentals": 9, "revenue": 50 - country / 100, "revenue_rank": country + 1},
        )
        tables.insert(
            "reports.genre_affinity_by_country",
            place
            | {"category": "Drama", "rentals": 4, "expected_rentals": 3.5, "lift": 1.14, "affinity_rank": 1},
        )
        tables.insert(
            "reports.sales_by_city",
            place | {"city_id": country, "city": f"City {country}", "revenue": 9, "revenue_rank": country + 1},
        )
    for since in range(3):
        tables.insert(
            "reports.cohort_retention",
            {
                **{"cohort_month": "2025-01-01", "months_since_first": since, "customers": 8},
                **{"active_customers": 8 - since, "retention_pct": 100 - 12.5 * since},
            },
        )
    for days in range(1, 6):
        tables.insert(
            "reports.rental_durations",
            {"days_kept": days, "rentals": 3 * days, "on_time": 2 * days, "late": days},
        )
    _insert_recent(tables, names)
    _insert_product_sales(tables, starts)
    _insert_wholesale(tables, starts)
    tables.insert("reports.customer_360", {"customer_id": 4711, **PERSON})
    tables.insert("reports.customer_value", {"customer_id": 4711, "customer_name": PERSON["customer_name"]})


def _insert_recent(tables: ReportTables, stores: dict[int, str]) -> None:
    """Rankings of windows, headline figures, and what is to be done about the stock."""
    first, last = next(iter(stores.values())), list(stores.values())[-1]
    month = {"grain": "month", "period_start": "2026-02-01", "previous_start": "2026-01-01"}
    tables.insert(
        "reports.headline_figures",
        month
        | {"figure": "revenue", "unit": "dollars", "figure_value": 287, "change_pct": 7.69, "figure_order": 1},
        month
        | {
            "figure": "late_rate_pct",
            "unit": "percent",
            "figure_value": 40,
            "change_value": -2.5,
            "figure_order": 2,
        },
    )
    tables.insert(
        "reports.forecast_accuracy",
        {
            "method": "seasonal",
            "horizon": 1,
            "months": 9,
            "error_pct": 6,
            "error_rank": 1,
            "is_used": True,
            "note": "ok",
        },
    )
    film = {"film_id": 3, "title": HOSTILE, "category": "Drama"}
    for order, period in enumerate(("last 30 days", "last 90 days", "last 365 days", "all time"), 1):
        ranks = {
            "period": period,
            "period_order": order,
            "revenue": 7 * order,
            "rentals": order,
            "revenue_rank": 1,
        }
        tables.insert("reports.film_rankings", film | ranks)
        tables.insert("reports.genre_rankings", {"category": "Drama"} | ranks)
        tables.insert("reports.country_rankings", {"country_id": 1, "country": "Country 1"} | ranks)
    counts = {"films": 3, "copies": 4, "rentals": 8, "revenue": 9, "rentals_per_copy": 2, "rental_rank": 1}
    tables.insert("reports.language_performance", {"language": "English"} | counts)
    tables.insert("reports.special_feature_performance", {"special_feature": "Trailers"} | counts)
    tables.insert(
        "reports.rental_frequency",
        {"month": "2026-02-01", "is_complete": True, "rentals_in_month": 2, "customers": 5, "share_pct": 100},
    )
    for attribute in ("country", "home store", "status", "customer since"):
        tables.insert(
            "reports.customer_demographics",
            {"attribute": attribute, "attribute_value": f"A {attribute}", "customers": 5, "share_pct": 100},
        )
    tables.insert(
        "reports.copies_to_move",
        film
        | {"from_store_name": first, "to_store_name": last, "copies_to_move": 1, "expected_extra_revenue": 4},
    )
    for number, name in stores.items():
        store = {"store_id": number, "store_name": name}
        tables.insert(
            "reports.store_comparison",
            store | {"month": "2026-02-01", "month_revenue": 99, "year_revenue": 900},
        )
        tables.insert(
            "reports.stock_unavailability",
            film | store | {"copies": 2, "unavailable_days": 12.5, "unavailable_pct": 13.9},
        )
        tables.insert(
            "reports.lost_copies",
            {
                **(film | store | {"inventory_id": number, "customer_id": 4711, "days_overdue": 90}),
                **{"customer_name": PERSON["customer_name"], "replacement_cost": 19.99, "value_rank": number},
            },
        )


def _insert_product_sales(tables: ReportTables, months: list[str]) -> None:
    tables.insert("marts.sales_data_as_of", {"as_of": datetime(2026, 3, 9)})
    for index, month in enumerate(months):
        for territory in ("EMEA", "Japan"):
            place = {"month": month, "territory": territory}
            tables.insert(
                "reports.sales_by_territory",
                place
                | {"orders": index + 1, "pieces": 30, "revenue": 100.5 * (index + 1), "cancelled_amount": 7},
            )
            tables.insert(
                "reports.shipping_delay",
                {
                    **(place | {"orders": 5, "shipped_orders": 4, "open_orders": 1, "late_orders": 1}),
                    **{"average_days": 3.5, "longest_days": 9},
                },
            )
        counts = {"active_customers": 9, "gained_customers": 2, "regained_customers": 1, "lost_customers": 3}
        tables.insert("reports.customers_gained_and_lost", {"month": month} | counts)
    for year in (2025, 2026):
        tables.insert(
            "reports.product_line_sales",
            {
                **{"calendar_year": year, "product_line": "Ships", "products_sold": 2, "pieces": 50},
                **{"revenue": 900, "revenue_percent": 100},
            },
        )
    tables.insert(
        "reports.price_against_list",
        {
            **{"product_code": HOSTILE, "product_line": "Ships", "current_list_price": 50, "order_lines": 4},
            **{"lines_below_list": 2, "revenue": 900, "list_revenue": 1000, "discount_percent": 10},
        },
    )


def _insert_wholesale(tables: ReportTables, months: list[str]) -> None:
    tables.insert("marts.totesys_data_as_of", {"as_of": datetime(2026, 3, 9)})
    for number, currency in enumerate(("GBP", "EUR"), 1):
        sold = {
            "currency_code": currency,
            "orders": 3,
            "units": 900,
            "revenue": 1000 * number,
            "revenue_rank": 1,
        }
        market = {name: value for name, value in sold.items() if name != "revenue_rank"}
        tables.insert("reports.totesys_sales_by_country", market | {"country": f"Country {number}"})
        tables.insert("reports.totesys_top_designs", sold | {"design_name": HOSTILE})
        tables.insert(
            "reports.totesys_top_staff",
            sold | {"staff_id": number, "first_name": PERSON["customer_name"], "department_name": "Sales"},
        )
        tables.insert(
            "reports.totesys_payments_due",
            {
                **{
                    "counterparty_id": 1,
                    "counterparty_name": "Fahey and Sons",
                    "payment_type_name": "SALES_RECEIPT",
                },
                **{"currency_code": currency, "payments": 2, "amount": 70, "first_due_date": "2026-03-01"},
                **{"overdue_payments": 1, "overdue_amount": 30},
            },
        )
        for month in months:
            tables.insert(
                "reports.totesys_purchases_against_sales",
                {"month": month, "currency_code": currency, "sales": 90, "purchases": 40, "difference": 50},
            )


def _insert_overdue(tables: ReportTables, rank: int, title: str, store: int) -> None:
    tables.insert(
        "reports.overdue_rentals",
        {
            **{"rental_id": rank * 10 + store, "customer_id": 4711, "customer_name": PERSON["customer_name"]},
            **{
                "is_lost": False,
                "store_id": store,
                "film_id": rank,
                "title": title,
                "due_at": "2026-03-01 10:00",
            },
            **{"days_late": 9 + rank, "replacement_cost": 20.99, "overdue_rank": rank * 2 + store},
        },
    )
