"""A table that does not show what was synced fails its check after a while; one that shows all of it never."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from dvd_rental_pipeline.automation.freshness import LAYER_DATA_LAG
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.quality import durations
from dvd_rental_pipeline.quality.data_lag import Backlog, TrackedTable, build_data_lag_checks, evaluate_lag
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, newest_commit
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FACT, REPORT = dg.AssetKey(["marts", "fct_payment"]), dg.AssetKey(["reports", "revenue_by_day"])
COPIES = dg.AssetKey(["marts", "dim_copy"])


def tracked(asset: dg.AssetKey, *sources: str) -> TrackedTable:
    keys = {dg.AssetKey(["dvd_rental", source]) for source in sources}
    return TrackedTable(asset, keys, LAYER_DATA_LAG[asset.path[0]])


TRACKED = [
    tracked(FACT, "payment", "rental"),
    tracked(REPORT, "payment", "rental"),
    tracked(COPIES, "inventory"),
]


class Tables:
    """Raw tables, builds that recorded a data timestamp, and the checks of both."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, patch: pytest.MonkeyPatch) -> None:
        self.warehouse = DuckDBWarehouseResource(path=str(folder / "warehouse.duckdb"))
        self._checks = build_data_lag_checks(TRACKED)
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
        self._patch.setattr(durations, "utc_now", lambda: now)
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


def test_missing_changes_fail_the_check_after_the_limit_of_the_layer(tables: Tables) -> None:
    tables.change("payment", NOON - timedelta(hours=9), NOON - timedelta(hours=9))
    for key in (FACT, REPORT, COPIES):
        tables.build(key, NOON - timedelta(hours=9))
    assert tables.late(NOON + timedelta(days=30)) == {}, "without changes nothing becomes stale"
    # Committed while no sync ran: it has not been waiting for the models.
    tables.change("payment", NOON - timedelta(hours=8), NOON)
    assert tables.late(NOON + timedelta(minutes=59)) == {}
    late = tables.late(NOON + timedelta(minutes=61))
    assert set(late) == {FACT}, "dim_copy does not read payments"
    assert late[FACT].severity is dg.AssetCheckSeverity.WARN
    assert "1 rows changed since, and wait for up to 1 h 1 min" in str(late[FACT].description)
    assert set(tables.late(NOON + timedelta(hours=27))) == {FACT, REPORT}
    tables.build(FACT, NOON - timedelta(hours=8))
    assert set(tables.late(NOON + timedelta(hours=27))) == {REPORT}, "the facts have it, the report does not"
    tables.build(REPORT, NOON - timedelta(hours=8))
    assert tables.late(NOON + timedelta(days=30)) == {}


def test_tables_without_a_recorded_data_timestamp_pass(tables: Tables) -> None:
    tables.change("payment", NOON, NOON)
    assert tables.late(NOON + timedelta(days=30)) == {}


def test_before_the_first_build_the_checks_need_no_warehouse(tables: Tables) -> None:
    Path(tables.warehouse.path).unlink()
    assert tables.late(NOON) == {}


@pytest.mark.parametrize("layer", ["marts", "reports"])
def test_the_limit_itself_passes(layer: str) -> None:
    table = tracked(dg.AssetKey([layer, "x"]), "payment")
    limit = LAYER_DATA_LAG[layer]
    assert evaluate_lag(table, NOON, Backlog(1, NOON), NOON + limit).passed
    assert not evaluate_lag(table, NOON, Backlog(1, NOON), NOON + limit + timedelta(seconds=1)).passed


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02 12:00:00+00",
        "2026-03-02 12:00:00.000 +0000",
        "2026-03-02 12:00:00 Z",
        "2026-03-02 14:00:00+02",
    ],
)
def test_times_are_parsed_as_each_warehouse_prints_them(text: str) -> None:
    assert durations.parse_time(text) == NOON


def test_the_newest_commit_is_that_of_all_raw_tables(tables: Tables) -> None:
    assert newest_commit(tables.warehouse, DVD_RENTAL) is None
    tables.change("film", NOON, NOON)
    tables.change("payment", NOON - timedelta(minutes=1), NOON)
    assert newest_commit(tables.warehouse, DVD_RENTAL) == NOON


@pytest.mark.parametrize("fraction", ["", ".000", ".500", ".000001"])
@pytest.mark.parametrize("other", ["", ".000", ".499", ".999999"])
def test_the_newest_commit_is_known_however_its_fraction_is_written(
    tables: Tables, fraction: str, other: str
) -> None:
    """Debezium writes zero, three or six digits; as text, "12:00:00Z" is greater than "12:00:00.5Z"."""
    texts = [f"2026-03-02T12:00:00{fraction}Z", f"2026-03-02T12:00:00{other}Z", "2026-03-02T11:59:59.999999Z"]
    with duckdb.connect(tables.warehouse.path) as connection:
        connection.executemany("insert into dvd_rental.film values (?, now())", [[text] for text in texts])
    assert newest_commit(tables.warehouse, DVD_RENTAL) == max(map(datetime.fromisoformat, texts))
