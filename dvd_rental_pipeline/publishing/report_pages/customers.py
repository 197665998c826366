"""The page Customers: who they are, whether they return, and what they prefer."""

from dvd_rental_pipeline.publishing.report_pages.charts import GREEN, PURPLE, bars, columns, heat_map
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
from dvd_rental_pipeline.publishing.report_pages.parts import month_name
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

SEGMENT = ChartColumn("segment", "Segment")
CATEGORY = ChartColumn("category", "Genre")
LIFT = ChartColumn("lift", "Lift", Kind.NUMBER)
CUSTOMERS_COUNT = ChartColumn("customers", "Customers", Kind.COUNT)
COUNTRIES = 40
COHORTS = 60
MONTHS = 12
ATTRIBUTES = Filter(
    "attribute",
    "Attribute",
    "attribute",
    [Option(name.capitalize(), [name]) for name in ("customer since", "home store", "status", "country")],
)


def build(reports: ReportReader) -> Content:
    """Segments, retention of cohorts, genres that segments and countries prefer."""
    segments = reports.read(
        "segment_behaviour",
        [
            *("segment", "customers", "customer_share_pct", "rentals", "revenue", "revenue_share_pct"),
            *("rentals_per_customer", "revenue_per_customer", "late_rate_pct", "favourite_category"),
            "favourite_lift",
            *("preferred_duration_days", "average_days_kept"),
        ],
        order="revenue desc, segment",
    )
    countries = reports.read(
        "sales_by_country",
        ["country", "customers", "active_customers", "rentals", "revenue", "revenue_per_customer"],
        where=f"revenue_rank <= {COUNTRIES}",
        order="customers desc, country",
    )
    affinity = reports.read(
        "genre_affinity", ["segment", "category", "rentals", "lift"], order="segment, category"
    )
    in_countries = reports.read(
        "genre_affinity_by_country",
        ["country", "category", "rentals", "expected_rentals", "lift"],
        order="country, affinity_rank",
    )
    frequency = reports.read(
        "rental_frequency",
        ["month", "rentals_in_month", "customers", "share_pct"],
        where="is_complete",
        order="month, rentals_in_month",
    )
    shown = [row[0] for row in countries.rows]
    in_countries = Dataset(
        in_countries.report, in_countries.columns, [row for row in in_countries.rows if row[0] in set(shown)]
    )
    country = Filter(
        "country",
        "Country",
        "country",
        [Option(str(name), [name]) for name in shown] or [Option("No country", None)],
    )
    return Content(
        as_of=reports.as_of(),
        headlines=_headlines(segments),
        filters=[country, ATTRIBUTES, month_filter(frequency)],
        sections=[
            PageSection("Segments", _segments(segments)),
            PageSection("Retention", [_cohorts(reports), _frequency(frequency)]),
            PageSection("Preferences", _preferences(affinity, in_countries)),
            PageSection("Who they are", [_demographics(reports), _countries(countries)]),
        ],
        limits="The data hold no age, gender or household of customers: only the place is known of "
        "demographics. A lift of 1.2 means 20 % more rentals than if all customers had the same taste.",
    )


def month_filter(frequency: Dataset) -> Filter:
    """Keeps one of the last whole months."""
    months = sorted({str(row[0]) for row in frequency.rows}, reverse=True)[:MONTHS]
    options = [Option(month_name(month), [month]) for month in months]
    return Filter("month", "Month of rentals", "month", options or [Option("No month", None)])


def _headlines(segments: Dataset) -> list[Headline]:
    records = segments.records()
    if not records:
        return []
    best, most = records[0], max(records, key=lambda record: float(record["customers"] or 0))
    total = sum(int(record["customers"] or 0) for record in records)
    return [
        Headline("Customers", f"{total:,}", compared_to=f"in {len(records)} segments"),
        Headline("Most revenue", str(best["segment"]), compared_to=f"{best['revenue_share_pct']} % of revenue"),
        Headline(
            "Largest segment", str(most["segment"]), compared_to=f"{most['customer_share_pct']} % of customers"
        ),
    ]


def _segments(segments: Dataset) -> list[Chart]:
    return [
        Chart(
            "segments_by_revenue",
            "Which segments bring the revenue?",
            "Revenue in dollars, over all time.",
            segments,
            [
                SEGMENT,
                ChartColumn("revenue", "Revenue ($)", Kind.MONEY),
                ChartColumn("revenue_share_pct", "Share of revenue (%)", Kind.PERCENT),
                CUSTOMERS_COUNT,
            ],
            spec=bars(SEGMENT, ChartColumn("revenue", "Revenue ($)", Kind.MONEY), [CUSTOMERS_COUNT]),
            is_key=True,
        ),
        Chart(
            "segments_by_customers",
            "How many customers are in each segment?",
            "Customers.",
            segments,
            [
                SEGMENT,
                CUSTOMERS_COUNT,
                ChartColumn("customer_share_pct", "Share of customers (%)", Kind.PERCENT),
            ],
            spec=bars(SEGMENT, CUSTOMERS_COUNT, color=PURPLE),
            order="-customers",
        ),
        Chart(
            "segment_behaviour",
            "What sets the segments apart?",
            "Per customer and per rental, over all time.",
            segments,
            [
                SEGMENT,
                CUSTOMERS_COUNT,
                ChartColumn("rentals_per_customer", "Rentals per customer", Kind.NUMBER),
                ChartColumn("revenue_per_customer", "Revenue per customer ($)", Kind.MONEY),
                ChartColumn("late_rate_pct", "Returned late (%)", Kind.PERCENT),
                ChartColumn("favourite_category", "Favourite genre"),
                ChartColumn("favourite_lift", "Its lift", Kind.NUMBER),
                ChartColumn("preferred_duration_days", "Preferred days", Kind.COUNT),
                ChartColumn("average_days_kept", "Days kept", Kind.NUMBER),
            ],
        ),
    ]


def _cohorts(reports: ReportReader) -> Chart:
    cohorts = reports.read(
        "cohort_retention",
        ["cohort_month", "months_since_first", "customers", "active_customers", "retention_pct"],
        where=f"months_since_first <= {COHORTS}",
        order="cohort_month, months_since_first",
    )
    latest = set(sorted({row[0] for row in cohorts.rows}, key=str)[-COHORTS:])
    cohorts = Dataset(cohorts.report, cohorts.columns, [row for row in cohorts.rows if row[0] in latest])
    cohort = ChartColumn("cohort_month", "Month of first rental", Kind.MONTH)
    since = ChartColumn("months_since_first", "Months since the first rental", Kind.COUNT)
    retention = ChartColumn("retention_pct", "Active (%)", Kind.PERCENT)
    return Chart(
        "cohort_retention",
        "Do customers return month after month?",
        "Share of the customers with the same month of first rental who rented in a later month, in percent.",
        cohorts,
        [cohort, since, retention, CUSTOMERS_COUNT, ChartColumn("active_customers", "Active", Kind.COUNT)],
        spec=heat_map(since, cohort, retention),
        is_key=True,
    )


def _frequency(frequency: Dataset) -> Chart:
    rentals = ChartColumn("rentals_in_month", "Rentals in the month")
    kept = set(sorted({str(row[0]) for row in frequency.rows}, reverse=True)[:MONTHS])
    return Chart(
        "rental_frequency",
        "How often do customers rent in a month?",
        "Customers by number of rentals in the selected month; 0 for those who had rented before.",
        Dataset(frequency.report, frequency.columns, [row for row in frequency.rows if str(row[0]) in kept]),
        [rentals, CUSTOMERS_COUNT, ChartColumn("share_pct", "Share of customers (%)", Kind.PERCENT)],
        spec=columns(rentals, CUSTOMERS_COUNT),
        filters=["month"],
    )


def _demographics(reports: ReportReader) -> Chart:
    people = reports.read(
        "customer_demographics",
        [
            "attribute",
            "attribute_value",
            "customers",
            "share_pct",
            "rentals",
            "revenue",
            "revenue_per_customer",
        ],
        order="attribute, customers desc, attribute_value",
    )
    seen: dict[object, int] = {}
    rows = []
    for row in people.rows:
        seen[row[0]] = seen.get(row[0], 0) + 1
        if seen[row[0]] <= COUNTRIES:
            rows.append(row)
    value = ChartColumn("attribute_value", "Value")
    return Chart(
        "demographics",
        "Who are the customers?",
        "Customers by the selected attribute.",
        Dataset(people.report, people.columns, rows),
        [
            *(value, CUSTOMERS_COUNT, ChartColumn("share_pct", "Share (%)", Kind.PERCENT)),
            ChartColumn("revenue_per_customer", "Revenue per customer ($)", Kind.MONEY),
        ],
        spec=bars(value, CUSTOMERS_COUNT, [ChartColumn("share_pct", "Share (%)", Kind.PERCENT)], color=PURPLE),
        filters=["attribute"],
        limit=20,
    )


def _preferences(affinity: Dataset, in_countries: Dataset) -> list[Chart]:
    rentals = ChartColumn("rentals", "Rentals", Kind.COUNT)
    return [
        Chart(
            "genre_affinity",
            "Which genres does each segment prefer?",
            "Lift: rentals divided by those expected if all customers had the same taste.",
            affinity,
            [SEGMENT, CATEGORY, LIFT, rentals],
            spec=heat_map(CATEGORY, SEGMENT, LIFT, middle=1.0, step=26),
        ),
        Chart(
            "genre_affinity_by_country",
            "Which genres does a country prefer?",
            "Lift, over all time, in the selected country.",
            in_countries,
            [CATEGORY, LIFT, rentals, ChartColumn("expected_rentals", "Expected rentals", Kind.NUMBER)],
            spec=bars(CATEGORY, LIFT, [rentals], color=GREEN),
            filters=["country"],
            order="-lift",
            note="Few rentals make a high lift by chance: see the table.",
        ),
    ]


def _countries(countries: Dataset) -> Chart:
    country = ChartColumn("country", "Country")
    return Chart(
        "customers_by_country",
        "Where do customers live?",
        "Customers; revenue over all time.",
        countries,
        [
            country,
            CUSTOMERS_COUNT,
            ChartColumn("active_customers", "Active accounts", Kind.COUNT),
            ChartColumn("rentals", "Rentals", Kind.COUNT),
            ChartColumn("revenue", "Revenue ($)", Kind.MONEY),
            ChartColumn("revenue_per_customer", "Revenue per customer ($)", Kind.MONEY),
        ],
        spec=bars(country, CUSTOMERS_COUNT, [ChartColumn("revenue", "Revenue ($)", Kind.MONEY)]),
        limit=20,
    )


CUSTOMERS = PageDeclaration(
    name="customers",
    title="Customers",
    question="Who are the customers, do they return, and what do they prefer?",
    owner="marketing",
    consumer="campaign_planning",
    reports=(
        *("segment_behaviour", "cohort_retention", "genre_affinity", "genre_affinity_by_country"),
        *("sales_by_country", "rental_frequency", "customer_demographics"),
    ),
    build=build,
)
