"""Builds the dashboards: `python deploy/grafana/build.py` writes deploy/grafana/dashboards/*.json.

Panels read Prometheus, which scrapes `dvd-rental metrics`, and in PostgreSQL
Dagster's run storage and the warehouse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

FOLDER = Path(__file__).parent / "dashboards"
PROMETHEUS = DataSourceRef("prometheus", "prometheus")
WAREHOUSE = DataSourceRef("grafana-postgresql-datasource", "warehouse")
RUNS = DataSourceRef("grafana-postgresql-datasource", "runs")


@dataclass(frozen=True)
class SqlQuery:
    """A query of Grafana's data source for PostgreSQL."""

    sql: str
    format: str = "table"
    source: DataSourceRef = WAREHOUSE

    def build(self) -> "SqlQuery":
        return self

    def to_json(self) -> dict[str, Any]:
        return {
            "datasource": self.source,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": "A",
        }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def render() -> dict[str, str]:
    """The text of each dashboard, by file name."""
    built = (platform(), replication(), quality(), business())
    return {
        f"{each.build().uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(each.build()) + "\n"
        for each in built
    }


def platform() -> dashboards.Dashboard:
    return _dashboard(
        "platform",
        "Platform health",
        [
            _stat("Failed runs, 24 hours", 'sum(dvd_rental_runs{status="failure"}) or vector(0)'),
            _stat(
                "Blocking checks that fail", 'count(dvd_rental_check_passed{blocking="true"} == 0) or vector(0)'
            ),
            _stat("Alerts that fire", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
            _stat("Endpoint responds", 'up{job="dvd_rental"}'),
            _series("Runs in the last 24 hours", "dvd_rental_runs", "{{job}}: {{status}}"),
            _series("Duration of the last run", "dvd_rental_last_run_duration_seconds", "{{job}}", "s"),
            _series(
                "Age of the oldest asset of each layer",
                "max by (layer) (time() - dvd_rental_asset_last_materialization_timestamp_seconds)",
                "{{layer}}",
                "s",
            ),
            _runs_each_hour(),
            _series("Open alerts of each sensor", "dvd_rental_open_alerts", "{{sensor}}"),
        ],
    )


def replication() -> dashboards.Dashboard:
    return _dashboard(
        "replication",
        "Replication",
        [
            _series("WAL that the slot retains", "dvd_rental_slot_retained_bytes", "{{asset}}", "bytes"),
            _series("Age of the oldest waiting change", "dvd_rental_commit_lag_seconds", "{{asset}}", "s"),
            _series("Rows of the raw tables", 'dvd_rental_asset_rows{layer="raw"}', "{{asset}}"),
            _series(
                "Age of the data",
                "max by (layer) (time() - dvd_rental_asset_data_timestamp_seconds)",
                "{{layer}}",
                "s",
            ),
            _series("Longest way of a change to the warehouse", "dvd_rental_latency_seconds", "{{asset}}", "s"),
        ],
    )


def quality() -> dashboards.Dashboard:
    return _dashboard(
        "quality",
        "Data quality",
        [
            _stat("Checks that fail", "count(dvd_rental_check_passed == 0) or vector(0)"),
            _stat("Checks that pass", "count(dvd_rental_check_passed == 1) or vector(0)"),
            _series("Failing rows", "dvd_rental_check_failed_rows > 0 or vector(0)", "{{asset}}: {{check}}"),
            _series(
                "Rows in quarantine",
                'dvd_rental_asset_rows{asset=~".*quarantine"}'
                ' or dvd_rental_check_failed_rows{check="quarantine_is_empty"}',
                "{{asset}}",
            ),
        ],
    )


def business() -> dashboards.Dashboard:
    return _dashboard(
        "business",
        "Sales",
        [
            _sql_series(
                "Revenue by territory",
                "select month::timestamp as time, territory as metric, revenue as value"
                " from reports.sales_by_territory order by 1, 2",
            ),
            _sql_series(
                "Customers",
                "select month::timestamp as time, active_customers, gained_customers, lost_customers"
                " from reports.customers_gained_and_lost order by 1",
            ),
            _sql_series(
                "Average days to ship",
                "select month::timestamp as time, territory as metric, average_days as value"
                " from reports.shipping_delay order by 1, 2",
            ),
            _sql_table(
                "Product lines",
                "select calendar_year, product_line, pieces, revenue, revenue_percent"
                " from reports.product_line_sales order by 1 desc, revenue desc",
            ),
            _sql_table(
                "Products with the largest discount",
                "select product_code, product_line, current_list_price, revenue, discount_percent"
                " from reports.price_against_list order by discount_percent desc, product_code limit 20",
            ),
            _sql_table(
                "Quarantined records of each file",
                "select file_name, count(*) as records from marts.sales_quarantine"
                " group by 1 order by 2 desc, 1",
            ),
        ],
        start="now-3y",
    )


def _dashboard(uid: str, title: str, panels: Sequence[Any], start: str = "now-24h") -> dashboards.Dashboard:
    board = (
        dashboards.Dashboard(f"DVD rental: {title}")
        .uid(f"dvd-rental-{uid}")
        .tags(["dvd_rental"])
        .refresh("1m")
        .time(start, "now")
        .timezone("utc")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for panel in panels:
        board = board.with_panel(panel)
    return board


def _stat(title: str, expression: str) -> stat.Panel:
    query = prometheus.Dataquery().expr(expression).instant().ref_id("A")
    panel = stat.Panel().title(title).datasource(PROMETHEUS).with_target(query)
    return panel.color_mode(BigValueColorMode.NONE).span(6).height(4)


def _series(title: str, expression: str, legend: str, unit: str = "short") -> timeseries.Panel:
    query = prometheus.Dataquery().expr(expression).range().legend_format(legend).ref_id("A")
    return (
        timeseries.Panel().title(title).datasource(PROMETHEUS).unit(unit).with_target(query).span(12).height(8)
    )


def _sql_series(title: str, sql: str) -> timeseries.Panel:
    query = SqlQuery(sql, "time_series")
    return timeseries.Panel().title(title).datasource(WAREHOUSE).with_target(query).span(12).height(8)


def _runs_each_hour() -> timeseries.Panel:
    """From Dagster's run storage: also the runs before Prometheus started."""
    sql = (
        "select date_trunc('hour', create_timestamp) as time, lower(status) as metric, count(*) as value"
        " from runs group by 1, 2 order by 1, 2"
    )
    query = SqlQuery(sql, "time_series", RUNS)
    return timeseries.Panel().title("Runs of each hour").datasource(RUNS).with_target(query).span(12).height(8)


def _sql_table(title: str, sql: str) -> table.Panel:
    return table.Panel().title(title).datasource(WAREHOUSE).with_target(SqlQuery(sql)).span(12).height(8)


if __name__ == "__main__":
    main()
