"""The page Wholesale: sales, purchases and payments of totesys. Members of staff are numbers here.

Amounts of different currencies are never added up: the filter keeps one.
"""

from dvd_rental_pipeline.publishing.report_pages.charts import GREEN, PURPLE, VERMILION, bars, lines
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
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

SHOWN = 20
MONTH = ChartColumn("month", "Month", Kind.MONTH)
CURRENCY = ChartColumn("currency_code", "Currency")
REVENUE = ChartColumn("revenue", "Revenue", Kind.COUNT)
ORDERS = ChartColumn("orders", "Orders", Kind.COUNT)
UNITS = ChartColumn("units", "Units", Kind.COUNT)


def build(reports: ReportReader) -> Content:
    """Sales against purchases, markets, designs, staff, and payments due, each in one currency."""
    markets = reports.read(
        "totesys_sales_by_country",
        ["country", "currency_code", "orders", "units", "revenue"],
        order="revenue desc, country",
    )
    currencies = list(dict.fromkeys(str(record["currency_code"]) for record in markets.records()))
    options = [Option(code, [code]) for code in currencies] or [Option("No currency", None)]
    return Content(
        as_of=reports.as_of("totesys_data_as_of"),
        filters=[Filter("currency", "Currency", "currency_code", options)],
        sections=[
            PageSection("Sales and purchases", _over_time(reports)),
            PageSection("What sells", _sales(reports, markets)),
            PageSection("Payments due", _payments(reports)),
        ],
        limits="Amounts are in the currency that is chosen, rounded to whole units. Deleted rows, and rows in "
        "quarantine, are left out. Members of staff are shown by number: their names stay in the warehouse, in "
        "reports.totesys_top_staff.",
    )


def _over_time(reports: ReportReader) -> list[Chart]:
    totals = reports.read(
        "totesys_purchases_against_sales",
        ["month", "currency_code", "sales", "purchases", "difference"],
        order="month, currency_code",
    )
    what, amount = ChartColumn("what", "What"), ChartColumn("amount", "Amount", Kind.COUNT)
    rows = [
        [record["month"], record["currency_code"], label, record[name]]
        for record in totals.records()
        for name, label in (("sales", "Sales"), ("purchases", "Purchases"))
    ]
    difference = ChartColumn("difference", "Sales less purchases", Kind.COUNT)
    return [
        Chart(
            "sales_and_purchases",
            "Do sales exceed purchases?",
            "Amount of the orders of a month.",
            Dataset(totals.report, ["month", "currency_code", "what", "amount"], rows),
            [MONTH, CURRENCY, what, amount],
            spec=lines(MONTH, amount, what),
            filters=["currency"],
            note="The last month may not be whole.",
        ),
        Chart(
            "difference",
            "What remains?",
            "Sales less purchases of a month.",
            totals,
            [MONTH, CURRENCY, difference, ChartColumn("sales", "Sales", Kind.COUNT),
             ChartColumn("purchases", "Purchases", Kind.COUNT)],
            spec=lines(MONTH, difference),
            filters=["currency"],
        ),
    ]  # fmt: skip


def _sales(reports: ReportReader, markets: Dataset) -> list[Chart]:
    designs = reports.read(
        "totesys_top_designs",
        ["design_name", "currency_code", "orders", "units", "revenue"],
        where=f"revenue_rank <= {SHOWN}",
        order="currency_code, revenue_rank, design_name",
    )
    staff = reports.read(
        "totesys_top_staff",
        ["staff_id", "department_name", "currency_code", "orders", "units", "revenue"],
        where=f"revenue_rank <= {SHOWN}",
        order="currency_code, revenue_rank, staff_id",
    )
    staff = Dataset(
        staff.report, [*staff.columns, "member"], [[*row, f"Number {row[0]}"] for row in staff.rows]
    )
    country, design = ChartColumn("country", "Country"), ChartColumn("design_name", "Design")
    member, department = ChartColumn("member", "Member of staff"), ChartColumn("department_name", "Department")
    return [
        Chart(
            "sales_by_country",
            "Which countries buy most?",
            f"Revenue; the first {SHOWN}.",
            markets,
            [country, CURRENCY, REVENUE, ORDERS, UNITS],
            spec=bars(country, REVENUE, [ORDERS]),
            filters=["currency"],
            limit=SHOWN,
            is_key=True,
        ),
        Chart(
            "top_designs",
            "Which designs sell best?",
            f"Revenue; the first {SHOWN}.",
            designs,
            [design, CURRENCY, REVENUE, ORDERS, UNITS],
            spec=bars(design, REVENUE, [UNITS], color=GREEN),
            filters=["currency"],
        ),
        Chart(
            "top_staff",
            "Who sells most?",
            f"Revenue; the first {SHOWN}.",
            staff,
            [member, department, CURRENCY, REVENUE, ORDERS, UNITS],
            spec=bars(member, REVENUE, [department, ORDERS], color=PURPLE),
            filters=["currency"],
        ),
    ]


def _payments(reports: ReportReader) -> list[Chart]:
    due = reports.read(
        "totesys_payments_due",
        ["counterparty_name", "payment_type_name", "currency_code", "payments", "amount", "first_due_date",
         "overdue_payments", "overdue_amount"],
        order="overdue_amount desc, amount desc, counterparty_name, payment_type_name",
    )  # fmt: skip
    counterparty = ChartColumn("counterparty_name", "Counterparty")
    amount = ChartColumn("amount", "Due", Kind.COUNT)
    overdue = ChartColumn("overdue_amount", "Overdue", Kind.COUNT)
    return [
        Chart(
            "overdue_payments",
            "Which counterparties have overdue payments?",
            f"Amount that was due before the last day of the data, in both directions; the first {SHOWN}.",
            due,
            [counterparty, overdue, amount],
            spec=bars(counterparty, overdue, [amount], color=VERMILION),
            group=["counterparty_name"],
            sums=["overdue_amount", "amount"],
            filters=["currency"],
            order="-overdue_amount",
            limit=SHOWN,
        ),
        Chart(
            "payments_due",
            "Which payments are due?",
            "One row per counterparty and kind of payment, the most overdue first.",
            due,
            [
                *(counterparty, ChartColumn("payment_type_name", "Kind"), CURRENCY, amount, overdue),
                ChartColumn("payments", "Payments", Kind.COUNT),
                ChartColumn("first_due_date", "First due", Kind.DAY),
            ],
            filters=["currency"],
        ),
    ]


WHOLESALE = PageDeclaration(
    name="wholesale",
    title="Wholesale",
    question="What does the wholesaler sell and buy, and which payments are due?",
    owner="finance",
    consumer="totesys_review",
    reports=(
        *("totesys_sales_by_country", "totesys_top_designs", "totesys_top_staff"),
        *("totesys_payments_due", "totesys_purchases_against_sales"),
    ),
    build=build,
)
