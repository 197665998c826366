"""The page Product sales: the order lines that arrive as files, by territory, product line and customer."""

from collections.abc import Sequence

from dvd_rental_pipeline.publishing.report_pages.charts import GREEN, VERMILION, bars, columns, lines
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Filter,
    Headline,
    Kind,
    Option,
    PageDeclaration,
    PageSection,
)
from dvd_rental_pipeline.publishing.report_pages.parts import change, money, month_name, period_filter
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

SHOWN = 20
ALL_TERRITORIES = "All territories"
MONTH = ChartColumn("month", "Month", Kind.MONTH)
TERRITORY = ChartColumn("territory", "Territory")
PRODUCT_LINE = ChartColumn("product_line", "Product line")
ORDERS = ChartColumn("orders", "Orders", Kind.COUNT)
PIECES = ChartColumn("pieces", "Pieces", Kind.COUNT)
REVENUE = ChartColumn("revenue", "Revenue ($)", Kind.MONEY)
LATE = ChartColumn("late_percent", "Later than 7 days (%)", Kind.PERCENT)
AVERAGE_DAYS = ChartColumn("average_days", "Days to ship", Kind.NUMBER)


def build(reports: ReportReader) -> Content:
    """Revenue, product lines, prices, customers and shipping; two filters apply to sums."""
    sales = reports.read(
        "sales_by_territory",
        ["month", "territory", "orders", "pieces", "revenue", "cancelled_amount"],
        order="month, territory",
    )
    months = sorted({str(record["month"]) for record in sales.records()})
    territories = sorted({str(record["territory"]) for record in sales.records()})
    names = [Option(ALL_TERRITORIES, None), *(Option(name, [name]) for name in territories)]
    return Content(
        as_of=reports.as_of("sales_data_as_of"),
        headlines=_headlines(sales, months),
        filters=[Filter("territory", "Territory", "territory", names), period_filter(months, None)],
        sections=[
            PageSection("Revenue", _revenue(sales)),
            PageSection("Products and prices", _products(reports)),
            PageSection("Customers", _customers(reports)),
            PageSection("Shipping", _shipping(reports)),
        ],
        limits="Amounts are in dollars, count on the day of the order, and leave out cancelled orders. Records "
        "that are not valid are in quarantine, and not in these figures.",
    )


def _headlines(sales: Dataset, months: Sequence[str]) -> list[Headline]:
    if not months:
        return []

    def total(name: str, month: str) -> float:
        return sum(float(record[name] or 0) for record in sales.records() if record["month"] == month)

    last, before = months[-1], months[-2] if len(months) > 1 else ""
    compared = f"against {month_name(before)}" if before else ""
    revenue, earlier = total("revenue", last), total("revenue", before)
    orders = total("orders", last)
    return [
        Headline(
            f"Revenue in {month_name(last)}",
            money(revenue),
            change(revenue, earlier),
            compared,
            revenue >= earlier if earlier else None,
        ),
        Headline(
            f"Orders in {month_name(last)}", f"{orders:,.0f}", change(orders, total("orders", before)), compared
        ),
        Headline(f"Cancelled in {month_name(last)}", money(total("cancelled_amount", last))),
    ]


def _revenue(sales: Dataset) -> list[Chart]:
    shown = [REVENUE, ORDERS, PIECES, ChartColumn("cancelled_amount", "Cancelled ($)", Kind.MONEY)]
    sums = ["orders", "pieces", "revenue", "cancelled_amount"]
    return [
        Chart(
            "revenue_by_month",
            "How does revenue develop?",
            "Dollars per month.",
            sales,
            [MONTH, *shown],
            spec=lines(MONTH, REVENUE),
            group=["month"],
            sums=sums,
            filters=["territory"],
            order="month",
        ),
        Chart(
            "revenue_by_territory",
            "Where is it sold?",
            "Dollars.",
            sales,
            [TERRITORY, *shown],
            spec=bars(TERRITORY, REVENUE, [ORDERS]),
            group=["territory"],
            sums=sums,
            filters=["period"],
            order="-revenue",
            is_key=True,
        ),
    ]


def _products(reports: ReportReader) -> list[Chart]:
    product_lines = reports.read(
        "product_line_sales",
        ["calendar_year", "product_line", "products_sold", "pieces", "revenue", "revenue_percent"],
        order="calendar_year desc, revenue desc",
    )
    prices = reports.read(
        "price_against_list",
        ["product_code", "product_line", "current_list_price", "order_lines", "lines_below_list", "revenue",
         "discount_percent"],
        order="discount_percent desc, product_code",
        limit=SHOWN,
    )  # fmt: skip
    product = ChartColumn("product_code", "Product")
    discount = ChartColumn("discount_percent", "Below list price (%)", Kind.PERCENT)
    return [
        Chart(
            "revenue_by_product_line",
            "Which product lines earn most?",
            "Dollars, all years and territories.",
            product_lines,
            [PRODUCT_LINE, REVENUE, PIECES],
            spec=bars(PRODUCT_LINE, REVENUE, [PIECES], color=GREEN),
            group=["product_line"],
            sums=["revenue", "pieces"],
            order="-revenue",
        ),
        Chart(
            "product_lines_by_year",
            "How do product lines develop?",
            "One row per year and product line.",
            product_lines,
            [
                *(ChartColumn("calendar_year", "Year"), PRODUCT_LINE, REVENUE),
                *(ChartColumn("revenue_percent", "Share of the year (%)", Kind.PERCENT), PIECES),
                ChartColumn("products_sold", "Products sold", Kind.COUNT),
            ],
        ),
        Chart(
            "price_against_list",
            "Which products sell below their list price?",
            f"Percent of what the list price would have brought; the first {SHOWN} products.",
            prices,
            [
                *(product, PRODUCT_LINE, discount),
                ChartColumn("current_list_price", "List price ($)", Kind.MONEY),
                ChartColumn("lines_below_list", "Order lines below it", Kind.COUNT),
                *(ChartColumn("order_lines", "Order lines", Kind.COUNT), REVENUE),
            ],
            spec=bars(product, discount, [PRODUCT_LINE, REVENUE], color=VERMILION),
            is_broad=True,
        ),
    ]


def _customers(reports: ReportReader) -> list[Chart]:
    names = {
        "active_customers": "Active",
        "gained_customers": "Gained",
        "regained_customers": "Regained",
        "lost_customers": "Lost",
    }
    counts = reports.read("customers_gained_and_lost", ["month", *names], order="month")
    series, customers = ChartColumn("what", "Customers"), ChartColumn("customers", "Number", Kind.COUNT)
    moved = Dataset(
        counts.report,
        ["month", "what", "customers"],
        [
            [record["month"], label, record[name]]
            for record in counts.records()
            for name, label in names.items()
            if name != "active_customers"
        ],
    )
    return [
        Chart(
            "active_customers",
            "How many customers order?",
            "Customers with an order in the month.",
            counts,
            [MONTH, *(ChartColumn(name, label, Kind.COUNT) for name, label in names.items())],
            spec=lines(MONTH, ChartColumn("active_customers", "Active customers", Kind.COUNT)),
        ),
        Chart(
            "customers_gained_and_lost",
            "How many customers are gained and lost?",
            "Customers per month. A customer without an order for six months is lost in the sixth.",
            moved,
            [MONTH, series, customers],
            spec=columns(MONTH, customers, series, order=["Gained", "Regained", "Lost"]),
        ),
    ]


def _shipping(reports: ReportReader) -> list[Chart]:
    delays = reports.read(
        "shipping_delay",
        ["month", "territory", "orders", "shipped_orders", "open_orders", "late_orders", "average_days"],
        order="month, territory",
    )
    shipped = ChartColumn("shipped_orders", "Shipped orders", Kind.COUNT)
    late = ChartColumn("late_orders", "Late orders", Kind.COUNT)
    return [
        Chart(
            "days_to_ship",
            "How soon are orders shipped?",
            "Average days from the order to its last line, per month of the order.",
            delays,
            [MONTH, TERRITORY, AVERAGE_DAYS, shipped, ChartColumn("open_orders", "Not shipped", Kind.COUNT)],
            spec=lines(MONTH, AVERAGE_DAYS, TERRITORY),
            filters=["territory"],
        ),
        Chart(
            "late_orders",
            "Which territories wait longest?",
            "Orders shipped after more than 7 days, in percent of shipped orders.",
            delays,
            [TERRITORY, LATE, late, shipped],
            spec=bars(TERRITORY, LATE, [late, shipped], color=VERMILION),
            group=["territory"],
            sums=["late_orders", "shipped_orders"],
            ratios={"late_percent": ("late_orders", "shipped_orders", 100.0)},
            filters=["period"],
            order="-late_percent",
        ),
    ]


PRODUCT_SALES = PageDeclaration(
    name="product_sales",
    title="Product sales",
    question="What is sold where, at which prices, to how many customers?",
    owner="sales",
    consumer="sales_review",
    reports=(
        *("sales_by_territory", "product_line_sales", "price_against_list"),
        *("customers_gained_and_lost", "shipping_delay"),
    ),
    build=build,
)
