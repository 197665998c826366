"""A table that does not show what was synced is told after a while; one that shows all of it never."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from dvd_rental_pipeline.automation.freshness import DATA_LAG
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.quality import data_lag
from dvd_rental_pipeline.quality.data_lag import Unseen, Watched, build_data_lag_checks, judge
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, data_times, newest_commit
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FACT, REPORT = dg.AssetKey(["marts", "fct_payment"]), dg.AssetKey(["reports", "revenue_by_day"])
COPIES = dg.AssetKey(["marts", "dim_copy"])


WATCHED = [
    Watched(FACT, {"payment", "rental"}),
    Watched(REPORT, {"payment", "rental"}),
    Watched(COPIES, {"inventory"}),
]


class Tables:
    """Raw tables, builds that noted as of when they speak, and the checks over both."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, patch: pytest.MonkeyPatch) -> None:
        self.warehouse = DuckDBWarehouse(path=str(folder / "warehouse.duckdb"))
        self._checks = build_data_lag_checks(WATCHED, DVD_RENTAL)
        self._instance, self._patch = instance, patch
        with duckdb.connect(self.warehouse.path) as connection:
            connection.execute("create schema dvd_rental")
            for table in DVD_RENTAL.tables:
                connection.execute(
                    f"create table dvd_rental.{table.name}"
                    " (_ab_cdc_updated_at varchar, _airbyte_extracted_at timestamptz)"
                )

    def change(self, table: str, committed: datetime, synced: datetime) -> None:
        """A row that was committed at the source, and synced later."""
        with duckdb.connect(self.warehouse.path) as connection:
            connection.execute(
                f"insert into dvd_rental.{table} values (?, ?)",
                [committed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), synced],
            )

    def build(self, key: dg.AssetKey, as_of: datetime) -> None:
        metadata = {DATA_AS_OF: dg.MetadataValue.timestamp(as_of)}
        self._instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))

    def late(self, now: datetime) -> Mapping[dg.AssetKey, dg.AssetCheckEvaluation]:
        self._patch.setattr(data_lag, "_now", lambda: now)
        result = dg.materialize(
            [self._checks],
            instance=self._instance,
            resources={"warehouse": self.warehouse},
            selection=dg.AssetSelection.all_asset_checks(),
        )
        return {check.asset_key: check for check in result.get_asset_check_evaluations() if not check.passed}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Tables(tmp_path, instance, monkeypatch)


def test_what_a_table_does_not_show_is_told_when_its_layer_has_had_its_time(tables: Tables) -> None:
    tables.change("payment", NOON - timedelta(hours=9), NOON - timedelta(hours=9))
    for key in (FACT, REPORT, COPIES):
        tables.build(key, NOON - timedelta(hours=9))
    assert tables.late(NOON + timedelta(days=30)) == {}, "without changes nothing gets old"
    # Committed while no sync ran: it has not been waiting for the models.
    tables.change("payment", NOON - timedelta(hours=8), NOON)
    assert tables.late(NOON + timedelta(minutes=59)) == {}
    late = tables.late(NOON + timedelta(minutes=61))
    assert set(late) == {FACT}, "a copy is not paid"
    assert late[FACT].severity is dg.AssetCheckSeverity.WARN
    assert "1 rows changed since, and wait for up to 1 h 1 min" in str(late[FACT].description)
    assert set(tables.late(NOON + timedelta(hours=27))) == {FACT, REPORT}
    tables.build(FACT, NOON - timedelta(hours=8))
    assert set(tables.late(NOON + timedelta(hours=27))) == {REPORT}, "the facts have it, the report has not"
    tables.build(REPORT, NOON - timedelta(hours=8))
    assert tables.late(NOON + timedelta(days=30)) == {}


def test_tables_that_were_never_built_or_noted_nothing_are_let_be(tables: Tables) -> None:
    tables.change("payment", NOON, NOON)
    assert tables.late(NOON + timedelta(days=30)) == {}


@pytest.mark.parametrize("layer", ["marts", "reports"])
def test_the_limit_itself_is_in_time(layer: str) -> None:
    one = Watched(dg.AssetKey([layer, "x"]), {"payment"})
    limit = DATA_LAG[layer]
    assert judge(one, NOON, Unseen(1, NOON), NOON + limit).passed
    assert not judge(one, NOON, Unseen(1, NOON), NOON + limit + timedelta(seconds=1)).passed


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02 12:00:00+00",
        "2026-03-02 12:00:00.000 +0000",
        "2026-03-02 12:00:00 Z",
        "2026-03-02 14:00:00+02",
    ],
)
def test_times_are_read_as_each_warehouse_prints_them(text: str) -> None:
    assert data_lag._moment(text) == NOON


def node(kind: str, *parents: str) -> dict[str, Any]:
    return {"config": {"materialized": kind}, "depends_on": {"nodes": list(parents)}}


def test_a_table_is_as_old_as_the_oldest_of_what_it_was_built_from() -> None:
    nodes = {
        "view": node("view", "source"),
        "mart": node("table", "view"),
        "other": node("table", "view"),
        "report": node("table", "mart", "other", "view"),
        "lost": node("table", "never_noted", "mart"),
        "never_noted": node("table", "view"),
    }
    earlier = NOON - timedelta(hours=1)
    built = ["mart", "report", "lost"]
    times = data_times(built, built, nodes, NOON, {"other": earlier}.get)
    assert times == {"mart": NOON, "report": earlier}, "what stands on the unknown is unknown"
    assert data_times(["report"], ["mart", "other", "report"], nodes, NOON, {}.get)["report"] == NOON


def test_the_newest_commit_is_that_of_all_raw_tables(tables: Tables) -> None:
    assert newest_commit(tables.warehouse, DVD_RENTAL) is None
    tables.change("film", NOON, NOON)
    tables.change("payment", NOON - timedelta(minutes=1), NOON)
    assert newest_commit(tables.warehouse, DVD_RENTAL) == NOON
