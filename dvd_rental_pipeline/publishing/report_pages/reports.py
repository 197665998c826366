"""Reading reports for a page: only declared reports, and never a private column."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from dvd_rental_pipeline.publishing.report_pages.content import Dataset, plain_value
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest
from dvd_rental_pipeline.warehouse.interface import Rows

REPORTS_SCHEMA = "reports"


class ReportReader:
    """Reads the reports that a page declares."""

    def __init__(
        self,
        query: Callable[[str], Rows],
        manifest: Manifest,
        private: Collection[str],
        declared: Collection[str],
    ) -> None:
        """`query` executes SQL in the warehouse; `private` are names of columns, in lower case."""
        self._query = query
        self._models = {model.key: model for model in manifest.models.values()}
        self._private = private
        self._declared = declared

    def read(
        self, report: str, columns: Sequence[str], *, where: str = "", order: str = "", limit: int | None = None
    ) -> Dataset:
        """The `columns` of `report`, in that order.

        Raises:
            ValueError: the page does not declare `report`, or a column is private.
            WarehouseError: the report cannot be read.
        """
        self._require_public(report, columns)
        sql = f"select {', '.join(columns)} from {self._relation(report)}"
        if where:
            sql += f" where {where}"
        if order:
            sql += f" order by {order}"
        if limit is not None:
            sql += f" limit {limit}"
        return Dataset(report, list(columns), [_plain(row) for row in self._query(sql).values])

    def summarize(
        self, report: str, group: Sequence[str], sums: Sequence[str], *, count: str = "", where: str = ""
    ) -> Dataset:
        """One row per value of `group`, in its order, with the `sums` of columns.

        `count` names a column with the number of rows.

        Raises:
            ValueError: the page does not declare `report`, or a column is private.
            WarehouseError: the report cannot be read.
        """
        self._require_public(report, [*group, *sums])
        shown = [*group, *(f"sum({column}) as {column}" for column in sums)]
        if count:
            shown.append(f"count(*) as {count}")
        positions = ", ".join(str(position + 1) for position in range(len(group)))
        condition = f" where {where}" if where else ""
        source = f"{self._relation(report)}{condition}"
        sql = f"select {', '.join(shown)} from {source} group by {positions} order by {positions}"
        names = [*group, *sums, *([count] if count else [])]
        return Dataset(report, names, [_plain(row) for row in self._query(sql).values])

    def as_of(self, mart: str = "data_as_of") -> datetime | None:
        """The data timestamp that `mart` holds, in the time zone of the business; None without data."""
        rows = self._query(f"select as_of from {self._models['marts', mart].relation_name}").values
        return rows[0][0] if rows and isinstance(rows[0][0], datetime) else None

    def _relation(self, report: str) -> str:
        return self._models[REPORTS_SCHEMA, report].relation_name

    def _require_public(self, report: str, columns: Sequence[str]) -> None:
        if report not in self._declared:
            raise ValueError(f"The page reads {report}, which it does not declare.")
        model: DbtModel = self._models[REPORTS_SCHEMA, report]
        public = {column.name for column in model.columns if column.name.lower() not in self._private}
        if hidden := [column for column in columns if column not in public]:
            raise ValueError(f"{report} has no public column {', '.join(hidden)}.")


def _plain(row: Sequence[Any]) -> Sequence[Any]:
    return [plain_value(value) for value in row]
