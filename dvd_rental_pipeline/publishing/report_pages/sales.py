"""The page Sales: where revenue comes from."""

from dvd_rental_pipeline.publishing.report_pages.charts import (
    GREEN,
    MAX_SERIES,
    PURPLE,
    bars,
    columns,
    lines,
)
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Filter,
    Kind,
    Option,
    PageDeclaration,
    PageSection,
)
from dvd_rental_pipeline.publishing.report_pages.parts import (
    folded,
    merged,
    period_filter,
    store_filter,
    store_names,
    window_filter,
    with_store_names,
)
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

COUNTRIES_IN_FILTERS = 40
SHOWN = 20
OTHER_COUNTRIES = "All other countries"

MONTH = ChartColumn("month", "Month", Kind.MONTH)
STORE = ChartColumn("store", "Store")
COUNTRY = ChartColumn("country", "Country")
REVENUE = ChartColumn("revenue", "Revenue ($)", Kind.MONEY)
PAYMENTS = ChartColumn("payments", "Payments", Kind.COUNT)
AVERAGE = ChartColumn("average_payment", "Average payment ($)", Kind.MONEY)
AVERAGES = {"average_payment": ("revenue", "payments", 1.0)}


def build(reports: ReportReader) -> Content:
    """Revenue by month, store, country, city and rating; three filters apply to the first charts."""
    as_of = reports.as_of()
    stores = store_names(reports)
    cube = reports.summarize(
        "monthly_sales_by_country", ["month", "store_id", "country"], ["payments", "revenue"]
    )
    cube = folded(cube, "country", "revenue", keep=COUNTRIES_IN_FILTERS, other=OTHER_COUNTRIES)
    cube = with_store_names(merged(cube, ["payments", "revenue"]), stores)
    by_store = merged(
        folded(cube, "store", "revenue", keep=MAX_SERIES, other="All other stores"), ["payments", "revenue"]
    )
    running = as_of.date().replace(day=1).isoformat() if as_of else None
    months = sorted({str(month) for month in _values(cube, "month")})
    period = period_filter(months, running)
    countries = sorted({str(country) for country in _values(cube, "country")})
    country = Filter(
        "country",
        "Country",
        "country",
        [Option("All countries", None), *(Option(name, [name]) for name in countries)],
    )
    return Content(
        as_of=as_of,
        filters=[store_filter(stores), period, country, window_filter()],
        sections=[
            PageSection("Revenue over time", _over_time(cube, by_store, running)),
            PageSection("Places", _places(cube, reports)),
            PageSection(
                "What grows",
                _growth(reports),
                "Revenue of a window of time, and that of the same time before it.",
            ),
            PageSection("Films by age rating", _ratings(reports)),
            PageSection(
                "Formats", _formats(reports), "Language and special features: the nearest that the data have."
            ),
        ],
        limits="Revenue counts on the day of payment, for the store that owns the copy and the country of the "
        "customer who paid. Filters of a dimension do not apply to the chart that compares its values.",
    )


def _over_time(cube: Dataset, by_store: Dataset, running: str | None) -> list[Chart]:
    not_over = " The first and the last month may not be whole." if running else ""
    return [
        Chart(
            "revenue_by_month",
            "How does revenue develop?",
            "Dollars per month.",
            cube,
            [MONTH, REVENUE, PAYMENTS, AVERAGE],
            spec=lines(MONTH, REVENUE),
            group=["month"],
            sums=["payments", "revenue"],
            ratios=AVERAGES,
            filters=["store", "country"],
            order="month",
            note=not_over.strip(),
            is_key=False,
        ),
        Chart(
            "revenue_by_store_and_month",
            "Which store grows?",
            "Dollars per month and store.",
            by_store,
            [MONTH, STORE, REVENUE, PAYMENTS],
            spec=lines(MONTH, REVENUE, STORE),
            group=["month", "store"],
            sums=["payments", "revenue"],
            filters=["country"],
            order="month",
            note=not_over.strip(),
        ),
    ]


def _places(cube: Dataset, reports: ReportReader) -> list[Chart]:
    cities = reports.read(
        "sales_by_city",
        ["city", "country", "customers", "rentals", "revenue", "revenue_per_customer"],
        where=f"revenue_rank <= {SHOWN}",
        order="revenue_rank",
    )
    cities = Dataset(
        cities.report, [*cities.columns, "place"], [[*row, f"{row[0]}, {row[1]}"] for row in cities.rows]
    )
    return [
        Chart(
            "revenue_by_country",
            "Which countries bring the most revenue?",
            "Dollars.",
            cube,
            [COUNTRY, REVENUE, PAYMENTS, AVERAGE],
            spec=bars(COUNTRY, REVENUE, [PAYMENTS]),
            group=["country"],
            sums=["payments", "revenue"],
            ratios=AVERAGES,
            filters=["store", "period"],
            order="-revenue",
            last=OTHER_COUNTRIES,
            limit=SHOWN,
        ),
        Chart(
            "revenue_by_city",
            "Which cities bring the most revenue?",
            "Dollars, over all time.",
            cities,
            [
                ChartColumn("place", "City"),
                REVENUE,
                ChartColumn("customers", "Customers", Kind.COUNT),
                ChartColumn("rentals", "Rentals", Kind.COUNT),
                ChartColumn("revenue_per_customer", "Revenue per customer ($)", Kind.MONEY),
            ],
            spec=bars(
                ChartColumn("place", "City"),
                REVENUE,
                [ChartColumn("customers", "Customers", Kind.COUNT)],
                color=GREEN,
            ),
        ),
        Chart(
            "revenue_by_store",
            "How much does each store sell?",
            "Dollars.",
            cube,
            [STORE, REVENUE, PAYMENTS, AVERAGE],
            spec=bars(STORE, REVENUE, [PAYMENTS], color=PURPLE),
            group=["store"],
            sums=["payments", "revenue"],
            ratios=AVERAGES,
            filters=["period", "country"],
            order="-revenue",
            limit=SHOWN,
        ),
    ]


def _growth(reports: ReportReader) -> list[Chart]:
    def ranking(report: str, name: str, label: str, question: str) -> Chart:
        rows = reports.read(
            report,
            ["period", name, "revenue", "previous_revenue", "growth_pct", "rentals"],
            where=f"revenue_rank <= {SHOWN}",
            order="period_order, revenue_rank",
        )
        dimension = ChartColumn(name, label)
        return Chart(
            report,
            question,
            f"Dollars, all stores; the first {SHOWN}.",
            rows,
            [
                *(dimension, REVENUE),
                ChartColumn("previous_revenue", "Before ($)", Kind.MONEY),
                ChartColumn("growth_pct", "Growth (%)", Kind.PERCENT),
                ChartColumn("rentals", "Rentals", Kind.COUNT),
            ],
            spec=bars(dimension, REVENUE, [ChartColumn("growth_pct", "Growth (%)", Kind.PERCENT)]),
            filters=["window"],
        )

    return [
        ranking("film_rankings", "title", "Film", "Which films earn most in a window of time?"),
        ranking("genre_rankings", "category", "Genre", "Which genres earn most in a window of time?"),
        ranking("country_rankings", "country", "Country", "Which countries earn most in a window of time?"),
    ]


def _ratings(reports: ReportReader) -> list[Chart]:
    ratings = reports.summarize("monthly_sales_by_rating", ["month", "rating"], ["payments", "revenue"])
    rating = ChartColumn("rating", "Age rating")
    return [
        Chart(
            "revenue_by_rating",
            "Which age ratings earn most?",
            "Dollars, all stores and countries.",
            ratings,
            [rating, REVENUE, PAYMENTS, AVERAGE],
            spec=bars(rating, REVENUE, [PAYMENTS]),
            group=["rating"],
            sums=["payments", "revenue"],
            ratios=AVERAGES,
            filters=["period"],
            order="-revenue",
        ),
        Chart(
            "revenue_by_rating_and_month",
            "How do the age ratings develop?",
            "Dollars per month, all stores and countries.",
            ratings,
            [MONTH, rating, REVENUE],
            spec=columns(MONTH, REVENUE, rating),
            group=["month", "rating"],
            sums=["revenue"],
            order="month",
        ),
    ]


def _formats(reports: ReportReader) -> list[Chart]:
    def performance(report: str, name: str, label: str, question: str, note: str = "") -> Chart:
        rows = reports.read(
            report,
            [name, "films", "copies", "rentals", "revenue", "rentals_per_copy"],
            order="rental_rank",
        )
        dimension, each = (
            ChartColumn(name, label),
            ChartColumn("rentals_per_copy", "Rentals per copy", Kind.NUMBER),
        )
        return Chart(
            report,
            question,
            "Rentals per copy, over all time.",
            rows,
            [
                *(dimension, each, ChartColumn("rentals", "Rentals", Kind.COUNT)),
                *(ChartColumn("copies", "Copies", Kind.COUNT), REVENUE),
            ],
            spec=bars(dimension, each, [ChartColumn("rentals", "Rentals", Kind.COUNT)], color=GREEN),
            order="-rentals_per_copy",
            note=note,
        )

    return [
        performance("language_performance", "language", "Language", "Which languages are preferred?"),
        performance(
            "special_feature_performance",
            "special_feature",
            "Special feature",
            "Which special features are preferred?",
            "A film counts under each of its features.",
        ),
    ]


def _values(data: Dataset, name: str) -> list[object]:
    position = data.columns.index(name)
    return [row[position] for row in data.rows]


SALES = PageDeclaration(
    name="sales",
    title="Sales",
    question="Where does revenue come from?",
    owner="business_analysis",
    consumer="sales_analysis",
    reports=(
        *("monthly_sales_by_country", "sales_by_store", "sales_by_city", "monthly_sales_by_rating"),
        *("genre_rankings", "country_rankings", "film_rankings"),
        *("language_performance", "special_feature_performance"),
    ),
    build=build,
)
