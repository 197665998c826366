"""The parts of the site, in the order of its navigation."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SitePart:
    """A part of the site: a folder with an index page.

    `summary` says what a reader finds there, and `command` builds it.
    """

    name: str
    title: str
    summary: str
    command: str = "dvd-rental run"


SITE_PARTS: Sequence[SitePart] = (
    SitePart("executive", "Executive", "Revenue and its forecast, stores side by side, what needs attention."),
    SitePart("sales", "Sales", "Where revenue comes from: countries, cities, months, stores."),
    SitePart("customers", "Customers", "Who the customers are: segments, retention, value, preferences."),
    SitePart("films", "Films and stock", "What is rented, what is in stock, what to buy, move or sell."),
    SitePart("service", "Service", "Overdue copies, late returns, how long copies are kept."),
    SitePart(
        "wholesale",
        "Wholesale",
        "The totesys wholesaler: sales, purchases, designs, payments due.",
        "dvd-rental run --select tag:domain=totesys",
    ),
    SitePart(
        "product_sales",
        "Product sales",
        "Order lines from files: territories, product lines, prices, shipping.",
        "dvd-rental run --select tag:domain=sales",
    ),
    SitePart("checks", "Data quality", "Whether the data can be trusted today: every check, and what to do."),
    SitePart("docs", "Docs", "What each column means and where it comes from: data model, lineage, dbt docs."),
    SitePart("costs", "Costs", "What each asset costs, and what is saved where nothing has changed."),
    SitePart("extracts", "Downloads", "Every mart and report as Parquet and CSV, for other tools."),
)
