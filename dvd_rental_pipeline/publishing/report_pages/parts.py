"""What several pages have in common: names of stores, filters, and the wording of numbers."""

from collections.abc import Mapping, Sequence
from datetime import date

from dvd_rental_pipeline.publishing.report_pages.content import Dataset, Filter, Option, Value
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

UNCHANGED = "no change"
ALL_STORES = "All stores"
WINDOWS = ("all time", "last 365 days", "last 90 days", "last 30 days")
RECENT_MONTHS = (3, 6, 12, 24)


def store_names(reports: ReportReader) -> Mapping[Value, str]:
    """The name of each store by its identifier."""
    return {
        key: str(name or f"Store {key}")
        for key, name in reports.read("sales_by_store", ["store_id", "store_name"], order="store_id").rows
    }


def with_store_names(data: Dataset, stores: Mapping[Value, str]) -> Dataset:
    """`data` with the column `store` in place of `store_id`."""
    position = data.columns.index("store_id")
    rows = [
        [stores.get(value, f"Store {value}") if index == position else value for index, value in enumerate(row)]
        for row in data.rows
    ]
    return Dataset(data.report, ["store" if name == "store_id" else name for name in data.columns], rows)


def stacked(report: str, *parts: Dataset) -> Dataset:
    """The rows of `parts`, which have the same columns, as one dataset of `report`."""
    return Dataset(report, parts[0].columns, [row for part in parts for row in part.rows])


def with_constant(data: Dataset, name: str, value: Value) -> Dataset:
    """`data` with a further first column that has one value."""
    return Dataset(data.report, [name, *data.columns], [[value, *row] for row in data.rows])


def store_filter(stores: Mapping[Value, str]) -> Filter:
    """Keeps the rows of one store."""
    return Filter(
        "store",
        "Store",
        "store",
        [Option(ALL_STORES, None), *(Option(name, [name]) for name in stores.values())],
    )


def ranked_store_filter(stores: Mapping[Value, str]) -> Filter:
    """Keeps the ranking of one store, or that of all of them, which is marked with `ALL_STORES`."""
    names = [ALL_STORES, *stores.values()]
    return Filter("store", "Store", "store", [Option(name, [name]) for name in names])


def period_filter(months: Sequence[str], running: str | None) -> Filter:
    """Keeps the months of a year or of the last whole months; `running` is the month that is not over."""
    whole = [month for month in months if month != running]
    recent = [
        Option(f"Last {number} whole months", whole[-number:])
        for number in RECENT_MONTHS
        if len(whole) > number
    ]
    years = sorted({month[:4] for month in months}, reverse=True)
    return Filter(
        "period",
        "Period",
        "month",
        [
            Option("All months", None),
            *recent,
            *(Option(year, [month for month in months if month.startswith(year)]) for year in years),
        ],
    )


def window_filter() -> Filter:
    """Keeps the ranking of one window of time, which the reports of rankings call `period`."""
    return Filter("window", "Window", "period", [Option(name.capitalize(), [name]) for name in WINDOWS])


def money(value: float) -> str:
    """An amount as a headline shows it: cents only where they matter, millions where they would not fit."""
    if abs(value) >= 10_000_000:
        return f"${value / 1e6:,.1f}M"
    return f"${value:,.0f}" if abs(value) >= 1000 else f"${value:,.2f}"


def change(now: float, before: float) -> str:
    """The change in percent; empty where there is nothing to compare with."""
    return signed(100 * (now / before - 1), "%") if before else ""


def signed(moved: float, unit: str) -> str:
    """By how much a figure has moved; one that rounds to zero has no sign."""
    rounded = round(moved, 1)
    return f"{rounded:+,.1f} {unit}" if rounded else UNCHANGED


def month_name(month: str) -> str:
    """ "2026-10-01" as "October 2026"."""
    return f"{date.fromisoformat(month):%B %Y}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """ "1 copy", "2 copies"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def folded(data: Dataset, field: str, measure: str, *, keep: int, other: str) -> Dataset:
    """`data` whose smaller values of `field` are all called `other`: the `keep` largest by `measure` keep their
    names.

    Rows stay as they are; those of the smaller values are summed in the browser.
    """
    position, amount = data.columns.index(field), data.columns.index(measure)
    totals: dict[Value, float] = {}
    for row in data.rows:
        value = row[amount]
        totals[row[position]] = totals.get(row[position], 0.0) + (
            value if isinstance(value, int | float) else 0.0
        )
    if len(totals) <= keep:
        return data
    kept = set(sorted(totals, key=lambda name: totals[name], reverse=True)[: keep - 1])
    rows = [
        [value if index != position or value in kept else other for index, value in enumerate(row)]
        for row in data.rows
    ]
    return Dataset(data.report, data.columns, rows)


def merged(data: Dataset, sums: Sequence[str]) -> Dataset:
    """`data` with one row for each combination of the other columns, and the `sums` of columns added up."""
    summed = [data.columns.index(name) for name in sums]
    groups: dict[tuple[Value, ...], list[float]] = {}
    for row in data.rows:
        key = tuple(value for index, value in enumerate(row) if index not in summed)
        totals = groups.setdefault(key, [0.0] * len(summed))
        for place, index in enumerate(summed):
            value = row[index]
            totals[place] += value if isinstance(value, int | float) else 0.0
    names = [name for name in data.columns if name not in sums]
    rows = [[*key, *(round(total, 2) for total in totals)] for key, totals in groups.items()]
    return Dataset(data.report, [*names, *sums], rows)
