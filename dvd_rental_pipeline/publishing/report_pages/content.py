"""What a page consists of: headline figures, sentences, filters, and charts with the rows behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

Value: TypeAlias = str | int | float | bool | None
Spec: TypeAlias = Mapping[str, Any]
"""A Vega-Lite specification without data and without configuration."""

COLUMNS_IN_HALF = 4
"""A table of more columns takes the whole width of a page."""


class Kind(StrEnum):
    """What the values of a column are, which decides how they are shown."""

    TEXT = "text"
    MONTH = "month"
    DAY = "day"
    COUNT = "count"
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"


@dataclass(frozen=True)
class ChartColumn:
    """A column of the table of a chart: `field` is its name in the dataset."""

    field: str
    label: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class Dataset:
    """Rows of one report, or of none. Dates are ISO text, numbers are plain, see `plain_value`."""

    report: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def records(self) -> list[dict[str, Value]]:
        """Each row as a dictionary by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Option:
    """A choice of a filter: the values of its field that it keeps; None keeps all."""

    label: str
    values: Sequence[Value] | None


@dataclass(frozen=True)
class Filter:
    """A filter of a page, which applies to the charts that name it. The first option is the default."""

    name: str
    label: str
    field: str
    options: Sequence[Option]


@dataclass(frozen=True)
class Chart:
    """A question, answered by a picture and a table.

    Attributes:
        name: identifier within the page, and name of its CSV file.
        spec: the picture; None for a table alone.
        columns: of the table; the first are the dimensions.
        group: dimensions whose rows are summed in the browser after filtering; empty: rows are shown as they
            are.
        sums: columns that are summed by `group`.
        ratios: columns computed from sums, as numerator, denominator and factor.
        filters: names of the page's filters that apply.
        order: the column by which rows are sorted, descending with a leading "-"; empty: as they are.
        last: a value whose row comes last in any order, such as that of all others.
        limit: number of rows shown; None for all.
        note: what a reader must know to read it.
        is_key: whether it is also rendered as an image.
        is_broad: whether its picture takes the whole width.
    """

    name: str
    question: str
    unit: str
    data: Dataset
    columns: Sequence[ChartColumn]
    spec: Spec | None = None
    group: Sequence[str] = ()
    sums: Sequence[str] = ()
    ratios: Mapping[str, tuple[str, str, float]] = field(default_factory=dict)
    filters: Sequence[str] = ()
    order: str = ""
    last: str = ""
    limit: int | None = None
    note: str = ""
    is_key: bool = False
    is_broad: bool = False

    @property
    def takes_whole_width(self) -> bool:
        """Whether half of a page's width is too little for its picture or the columns of its table."""
        return self.is_broad or (self.spec is None and len(self.columns) > COLUMNS_IN_HALF)


@dataclass(frozen=True)
class Headline:
    """A headline figure. `change` compares it with `compared_to`, and is good or bad news or neither."""

    label: str
    value: str
    change: str = ""
    compared_to: str = ""
    is_good: bool | None = None


@dataclass(frozen=True)
class PageSection:
    """A part of a page under one heading."""

    title: str
    charts: Sequence[Chart]
    text: str = ""


@dataclass(frozen=True)
class Content:
    """Everything that a page shows. `as_of` is the data timestamp of the reports; None without data."""

    as_of: datetime | None
    sections: Sequence[PageSection]
    headlines: Sequence[Headline] = ()
    attention: Sequence[str] = ()
    filters: Sequence[Filter] = ()
    limits: str = ""

    @property
    def charts(self) -> Sequence[Chart]:
        return [chart for section in self.sections for chart in section.charts]


@dataclass(frozen=True)
class Page:
    """A page: the part of the site that it is, its head, and the team that owns it."""

    name: str
    title: str
    question: str
    owner: str


@dataclass(frozen=True)
class PageDeclaration(Page):
    """A page about reports: those that it reads, and how its content is built from them.

    `consumer` is the dbt exposure of those who read it.
    """

    consumer: str
    reports: Sequence[str]
    build: Callable[["ReportReader"], Content]


def plain_value(value: Any) -> Value:
    """A value of the warehouse as JSON can hold it: dates as ISO text, decimals as numbers."""
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat(" ", "minutes")
        case date():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
