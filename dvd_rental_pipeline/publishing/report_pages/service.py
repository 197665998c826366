"""The page Service: overdue copies, late returns, how long copies are kept. Customers are numbers here."""

from dvd_rental_pipeline.publishing.report_pages.charts import VERMILION, bars, columns
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Headline,
    Kind,
    PageDeclaration,
    PageSection,
)
from dvd_rental_pipeline.publishing.report_pages.parts import money, store_filter, store_names, with_store_names
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

LISTED = 200
STORE = ChartColumn("store", "Store")
CATEGORY = ChartColumn("category", "Genre")


def build(reports: ReportReader) -> Content:
    """Overdue copies, late returns by genre, and durations."""
    stores = store_names(reports)
    overdue = with_store_names(
        reports.read(
            "overdue_rentals",
            ["store_id", "rental_id", "customer_id", "title", "due_at", "days_late", "replacement_cost"],
            where="not is_lost",
            order="overdue_rank",
            limit=LISTED,
        ),
        stores,
    )
    at_risk = reports.read(
        "revenue_at_risk",
        ["store_id", "unpaid_rentals", "unpaid_amount", "overdue_copies", "overdue_cost"],
        order="store_id",
    )
    late = with_store_names(
        reports.summarize("late_returns", ["store_id", "category"], ["late", "on_time", "open"]), stores
    )
    late = _with_returned(late)
    return Content(
        as_of=reports.as_of(),
        headlines=_headlines(at_risk, late),
        filters=[store_filter(stores)],
        sections=[
            PageSection("Overdue copies", _overdue(overdue)),
            PageSection("Late returns", _late(late)),
            PageSection("Durations", _durations(reports)),
        ],
        limits="Customers are shown by number. Names and contact data stay in the warehouse: customer service "
        "reads them in reports.customer_360 and reports.overdue_rentals.",
    )


def _with_returned(late: Dataset) -> Dataset:
    """`late` with the number of returned rentals, by which the late ones are divided after filtering."""
    positions = late.columns.index("late"), late.columns.index("on_time")
    rows = [[*row, sum(int(row[position] or 0) for position in positions)] for row in late.rows]
    return Dataset(late.report, [*late.columns, "returned"], rows)


def _headlines(at_risk: Dataset, late: Dataset) -> list[Headline]:
    def total(data: Dataset, name: str) -> float:
        return sum(float(record[name] or 0) for record in data.records())

    returned = total(late, "late") + total(late, "on_time")
    rate = f"{total(late, 'late') / returned:.1%}" if returned else "no returns"
    return [
        Headline(
            "Overdue copies",
            f"{total(at_risk, 'overdue_copies'):,.0f}",
            compared_to=f"worth {money(total(at_risk, 'overdue_cost'))}",
        ),
        Headline("Returned late", rate, compared_to=f"of {returned:,.0f} returns, over all time"),
        Headline(
            "Unpaid rentals",
            f"{total(at_risk, 'unpaid_rentals'):,.0f}",
            compared_to=f"at list price {money(total(at_risk, 'unpaid_amount'))}",
        ),
    ]


def _overdue(overdue: Dataset) -> list[Chart]:
    return [
        Chart(
            "overdue_copies",
            "Which copies are overdue?",
            f"The longest first, at most {LISTED}. Lost copies are on the page Films and stock.",
            overdue,
            [
                ChartColumn("rental_id", "Rental"),
                ChartColumn("customer_id", "Customer number"),
                STORE,
                ChartColumn("title", "Film"),
                ChartColumn("due_at", "Due"),
                ChartColumn("days_late", "Days late", Kind.COUNT),
                ChartColumn("replacement_cost", "Value ($)", Kind.MONEY),
            ],
            filters=["store"],
        )
    ]


def _late(late: Dataset) -> list[Chart]:
    counts = [
        ChartColumn("late", "Late", Kind.COUNT),
        ChartColumn("on_time", "On time", Kind.COUNT),
        ChartColumn("open", "Not returned", Kind.COUNT),
    ]
    rate = ChartColumn("late_rate_pct", "Returned late (%)", Kind.PERCENT)
    return [
        Chart(
            "late_returns_by_genre",
            "Which genres come back late?",
            "Late returns in percent of returns, over all time.",
            late,
            [CATEGORY, rate, *counts],
            spec=bars(CATEGORY, rate, counts[:2], color=VERMILION),
            group=["category"],
            sums=["late", "on_time", "returned", "open"],
            ratios={"late_rate_pct": ("late", "returned", 100.0)},
            filters=["store"],
            order="-late_rate_pct",
            is_key=False,
        ),
        Chart(
            "late_returns_by_store",
            "Which stores get copies back late?",
            "Late returns in percent of returns, over all time.",
            late,
            [STORE, rate, *counts],
            spec=bars(STORE, rate, counts[:2], color=VERMILION),
            group=["store"],
            sums=["late", "on_time", "returned", "open"],
            ratios={"late_rate_pct": ("late", "returned", 100.0)},
            order="-late_rate_pct",
        ),
    ]


def _durations(reports: ReportReader) -> list[Chart]:
    durations = reports.read("rental_durations", ["days_kept", "rentals", "on_time", "late"], order="days_kept")
    rows = [
        [days, outcome, number]
        for days, _, on_time, late in durations.rows
        for outcome, number in (("on time", on_time), ("late", late))
    ]
    days, outcome = ChartColumn("days_kept", "Days kept"), ChartColumn("outcome", "Returned")
    rentals = ChartColumn("rentals", "Rentals", Kind.COUNT)
    return [
        Chart(
            "rental_durations",
            "How long do customers keep a copy?",
            "Returned rentals by started days, over all time.",
            Dataset("rental_durations", ["days_kept", "outcome", "rentals"], rows),
            [days, outcome, rentals],
            spec=columns(days, rentals, outcome, order=["on time", "late"]),
        )
    ]


SERVICE = PageDeclaration(
    name="service",
    title="Service",
    question="Which copies are overdue, and where do copies come back late?",
    owner="customer_service",
    consumer="service_desk",
    reports=("overdue_rentals", "late_returns", "rental_durations", "revenue_at_risk", "sales_by_store"),
    build=build,
)
