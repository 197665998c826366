"""Each fault between source and raw table is caught by a check, which passes again after the fix."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.core.catalog import Domain, FreshnessTier
from dvd_rental_pipeline.ingestion.asset_keys import raw_keys
from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.row_counts import compare_counts
from dvd_rental_pipeline.ingestion.raw_counts import sum_raw_tables
from dvd_rental_pipeline.ingestion.resource import Inspection, SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.quality import evaluations
from dvd_rental_pipeline.quality.accepted_schema import accept_differences
from dvd_rental_pipeline.quality.raw_tables import CHECKS, build_replication_checks
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
COMMIT_LAG = {tier: freshness.commit_lag for tier, freshness in DVD_RENTAL_PIPELINE.tiers.items()}


def domain_of(*names: str) -> Domain:
    return replace(DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in names))


# Dagster needs 20 ms for each check of each table.
SMALL_DOMAIN = domain_of("customer", "film", "payment", "rental")
MODELS = dg.AssetKey("models")


@dataclass
class Chain:
    """A source, its raw tables, and runs that sync and check them."""

    source: psycopg.Connection
    warehouse: DuckDBWarehouseResource
    ingestion: EmbeddedIngestion
    instance: dg.DagsterInstance
    domain: Domain = SMALL_DOMAIN
    commit_lag: Mapping[FreshnessTier, timedelta] = field(default_factory=lambda: COMMIT_LAG)

    def run(
        self, *, full_refresh: bool = False, ingestion: EmbeddedIngestion | None = None
    ) -> dg.ExecuteInProcessResult:
        return self._materialize(dg.AssetSelection.all(), full_refresh, ingestion)

    def check(self) -> dg.ExecuteInProcessResult:
        """Evaluate the checks alone."""
        return self._materialize(dg.AssetSelection.all_asset_checks(), None, None)

    def _materialize(
        self, selection: dg.AssetSelection, full_refresh: bool | None, ingestion: EmbeddedIngestion | None
    ) -> dg.ExecuteInProcessResult:
        @dg.asset(key=MODELS, deps=raw_keys(self.domain))
        def models() -> None:
            """Stands for everything built from the raw tables."""

        config = {"ops": {"dvd_rental_ingestion": {"config": {"full_refresh": full_refresh}}}}
        return dg.materialize(
            [
                build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=self.domain)),
                build_replication_checks(self.domain, self.commit_lag, "ingestion"),
                models,
            ],
            instance=self.instance,
            resources={"ingestion": ingestion or self.ingestion, "warehouse": self.warehouse},
            selection=selection,
            run_config=config if full_refresh is not None else None,
            raise_on_error=False,
        )

    def spoil(self, statement: str) -> None:
        with duckdb.connect(self.warehouse.path) as warehouse:
            warehouse.execute(statement)


def failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks that did not pass, as table:check."""
    return {
        f"{check.asset_key.path[-1]}:{check.check_name}": check
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def were_built(result: dg.ExecuteInProcessResult) -> bool:
    return any(event.asset_key == MODELS for event in result.get_asset_materialization_events())


@pytest.fixture(scope="module")
def sample(postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The name of a database of sample data, to be copied."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database fault_sample template template0")
    generate(postgres.url("fault_sample"), scale=0.02, seed=1)
    yield "fault_sample"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("drop database fault_sample with (force)")


@pytest.fixture
def chain(sample: str, postgres, database_url: str, tmp_path: Path) -> Iterator[Chain]:  # type: ignore[no-untyped-def]
    name = str(conninfo_to_dict(database_url)["dbname"])
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"drop database {name}")
        admin.execute(f"create database {name} template {sample}")
    path = str(tmp_path / "warehouse.duckdb")
    with (
        psycopg.connect(database_url, autocommit=True) as source,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Chain(
            source=source,
            warehouse=DuckDBWarehouseResource(path=path),
            ingestion=EmbeddedIngestion(
                postgres_dir=str(tmp_path / "none"), warehouse_path=path, slot=name, source_url=database_url
            ),
            instance=instance,
        )


def test_all_checks_pass_after_a_copy_and_after_changes(chain: Chain) -> None:
    chain.domain = DVD_RENTAL
    first = chain.run()
    assert failed(first) == {}
    assert were_built(first)
    assert len(first.get_asset_check_evaluations()) == len(CHECKS) * len(DVD_RENTAL.tables) + 2
    chain.source.execute("update customer set active = 1 - active where customer_id % 3 = 0")
    chain.source.execute("delete from payment where payment_id % 5 = 0")
    assert failed(chain.check()) == {}, "changes that wait for the next sync are no fault"
    second = chain.run()
    assert failed(second) == {}
    assert were_built(second)


def test_a_deleted_raw_row_stops_the_models_until_a_full_refresh(chain: Chain) -> None:
    chain.domain = domain_of("payment")
    chain.run()
    chain.spoil(
        "delete from dvd_rental.payment where payment_id = (select min(payment_id) from dvd_rental.payment)"
    )
    result = chain.run()
    found = failed(result)
    assert set(found) == {"payment:source_and_raw_agree", "payment:sync_count_is_right"}
    agreement = found["payment:source_and_raw_agree"]
    assert (agreement.severity, agreement.metadata["missing"].value) == (ERROR, 1)
    assert set(agreement.metadata["sample"].records[0].data) == {"payment_id"}
    assert not were_built(result)
    released = chain.run(full_refresh=True)
    assert failed(released) == {}
    assert were_built(released)


def test_a_duplicate_payment_stops_the_models(chain: Chain) -> None:
    chain.domain = domain_of("payment", "rental")
    chain.run()
    chain.spoil("insert into dvd_rental.payment from dvd_rental.payment limit 1")
    result = chain.run()
    found = failed(result)
    assert found["payment:primary_key_is_sound"].metadata["duplicate_keys"].value == 1
    assert found["payment:primary_key_is_sound"].severity is ERROR
    assert not were_built(result)
    assert failed(chain.run(full_refresh=True)) == {}


def test_a_changed_value_is_found_without_showing_it(chain: Chain) -> None:
    chain.domain = domain_of("customer")
    chain.run()
    chain.spoil("update dvd_rental.customer set email = 'secret@example.org' where customer_id = 1")
    found = failed(chain.run())["customer:source_and_raw_agree"]
    assert found.metadata["differing"].value == 1
    assert [record.data for record in found.metadata["sample"].records] == [{"customer_id": "1"}]
    assert "secret@example.org" not in str(found)


@pytest.mark.parametrize(
    ("statement", "release", "name", "severity", "expected"),
    [
        (
            "alter table film drop column description cascade",
            "alter table film add column description text",
            "schema_matches_catalogue",
            ERROR,
            "description (text) was dropped",
        ),
        (
            "alter table film add column studio text default 'A'",
            "alter table film drop column studio",
            "columns_are_known",
            WARN,
            "studio (text) is new",
        ),
        (
            "alter table film alter column replacement_cost type numeric(5,1)",
            "alter table film alter column replacement_cost type numeric(5,2)",
            "schema_matches_catalogue",
            ERROR,
            "replacement_cost is numeric(5,1), was numeric(5,2)",
        ),
        (
            "alter table film alter column replacement_cost type numeric(9,3)",
            "alter table film alter column replacement_cost type numeric(5,2)",
            "types_match_catalogue",
            WARN,
            "replacement_cost is numeric(9,3), was numeric(5,2)",
        ),
        (
            "alter table film alter column last_update type timestamptz using last_update at time zone 'UTC'",
            "alter table film alter column last_update type timestamp using last_update at time zone 'UTC'",
            "types_match_catalogue",
            WARN,
            "last_update is timestamp with time zone, was timestamp without time zone",
        ),
        (
            "alter table film drop column fulltext cascade",
            "alter table film add column fulltext tsvector",
            "types_match_catalogue",
            WARN,
            "fulltext (tsvector) was dropped",
        ),
    ],
    ids=[
        "a column is dropped",
        "a column is added",
        "a type is narrowed",
        "a type is widened",
        "a timestamp gets a zone",
        "a column that no model reads is dropped",
    ],
)
def test_drift_is_reported_by_column(
    chain: Chain, *, statement: str, release: str, name: str, severity: dg.AssetCheckSeverity, expected: str
) -> None:
    chain.domain = domain_of("film")
    chain.run()
    chain.source.execute(statement)
    result = chain.run()
    found = failed(result)
    check = f"film:{name}"
    assert set(found) == {check}
    assert expected in str(found[check].description)
    assert found[check].severity is severity
    assert found[check].blocking is (severity is ERROR), "to the conditions a warning is a failure"
    assert were_built(result) is (severity is WARN)
    chain.source.execute(release)
    released = chain.run()
    assert failed(released) == {}
    assert were_built(released)


def test_accepted_difference_does_not_block_and_another_one_does(chain: Chain) -> None:
    chain.domain = domain_of("film")
    chain.run()
    chain.source.execute("alter table film drop column description cascade")
    assert set(failed(chain.run())) == {"film:schema_matches_catalogue"}
    film = dg.AssetKey(["dvd_rental", "film"])
    accept_differences(chain.instance, film, ["description (text) was dropped"])
    accepted = chain.run()
    assert failed(accepted) == {}
    assert were_built(accepted)
    chain.source.execute("alter table film drop column length cascade")
    result = chain.run()
    assert str(failed(result)["film:schema_matches_catalogue"].description) == "length (smallint) was dropped."
    assert not were_built(result)


class SilentIngestion(EmbeddedIngestion):
    """Reports the same as the last sync, and moves nothing."""

    said: dict[str, int]

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        return SyncOutcome(
            {
                name: {"dagster/row_count": dg.IntMetadataValue(rows), "sync_mode": dg.TextMetadataValue("x")}
                for name, rows in self.said.items()
            }
        )


def test_a_sync_that_moves_nothing_is_caught(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "SYNC_SLACK", timedelta())
    first = chain.run()
    said = {
        event.asset_key.path[-1]: int(str(event.materialization.metadata["dagster/row_count"].value))
        for event in first.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key != MODELS
    }
    silent = SilentIngestion(**{**chain.ingestion.model_dump(), "said": said})
    assert failed(chain.run(ingestion=silent)) == {}, "nothing moved, and nothing was to move"
    chain.source.execute("update rental set return_date = now() where return_date is null")
    result = chain.run(ingestion=silent)
    found = failed(result)
    assert set(found) == {"rental:sync_count_is_right"}
    assert "left behind" in str(found["rental:sync_count_is_right"].description)
    assert not were_built(result)
    released = chain.run()
    assert failed(released) == {}
    assert were_built(released)


def test_a_change_that_waits_too_long_warns(chain: Chain) -> None:
    chain.run()
    chain.source.execute("update rental set return_date = now() where return_date is null")
    chain.commit_lag = dict.fromkeys(COMMIT_LAG, timedelta())
    found = failed(chain.check())
    assert found["rental:commit_lag_is_short"].severity is WARN
    assert "rental:commit_lag_is_short" not in failed(chain.run())


def test_a_changed_publication_stops_the_models_until_it_is_fixed(chain: Chain) -> None:
    chain.run()
    name = chain.ingestion.slot
    chain.source.execute("create table stranger (id integer primary key)")
    chain.source.execute(f"alter publication {name} drop table rental, film")
    chain.source.execute(f"alter publication {name} add table film where (film_id < 10), table stranger")
    chain.source.execute(f"alter publication {name} set (publish = 'insert, update')")
    found = {name: check for name, check in failed(chain.check()).items() if "capture" in name}
    shared = next(name for name in found if name.endswith(":capture_matches_catalogue"))
    assert set(found) == {"rental:table_is_captured", "film:table_is_captured", shared}
    assert {check.severity for check in found.values()} == {ERROR}
    assert f"It is not in the publication {name}" in str(found["rental:table_is_captured"].description)
    assert "only some of its rows or columns" in str(found["film:table_is_captured"].description)
    assert "leaves out some kinds of changes" in str(found[shared].description)
    assert "unexpected table public.stranger" in str(found[shared].description)
    chain.source.execute(f"alter publication {name} drop table stranger")
    released = chain.run()
    assert failed(released) == {}
    assert were_built(released)


def test_a_source_key_without_the_catalogues_is_an_error_else_a_warning(
    chain: Chain,
) -> None:
    chain.domain = domain_of("film_actor", "film_category")
    chain.run()
    for table, key in (("film_actor", "film_id, actor_id, last_update"), ("film_category", "film_id")):
        chain.source.execute(f"alter table {table} drop constraint {table}_pkey")
        chain.source.execute(f"alter table {table} add primary key ({key})")
    found = {name: check for name, check in failed(chain.check()).items() if "capture" in name}
    shared = next(name for name in found if name.endswith(":capture_matches_catalogue"))
    assert {name: check.severity for name, check in found.items()} == {
        shared: WARN,
        "film_category:table_is_captured": ERROR,
    }
    assert "Table film_actor: its primary key" in str(found[shared].description)
    assert "and (film_id, category_id) in the catalogue" in str(
        found["film_category:table_is_captured"].description
    )


def test_a_slot_that_grows_warns(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.run()
    monkeypatch.setattr(evaluations, "allowed_bytes", lambda limit: 0)
    chain.source.execute("create table noise as select repeat('x', 900) from generate_series(1, 2000)")
    (found,) = (check for name, check in failed(chain.check()).items() if "slot" in name)
    assert found.severity is WARN
    assert int(str(found.metadata["retained_bytes"].value)) > 100_000


def test_values_that_cannot_be_stored_warn(chain: Chain) -> None:
    chain.source.execute(
        "update payment set amount = 'NaN' where payment_id = (select min(payment_id) from payment)"
    )
    chain.run()
    found = failed(chain.check())
    assert found["payment:nothing_is_quarantined"].metadata["failed_rows"].value == 1
    assert found["payment:nothing_is_quarantined"].severity is WARN


def test_without_access_to_the_source_the_checks_say_so(chain: Chain) -> None:
    chain.run()

    class Mute(EmbeddedIngestion):
        def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
            return Inspection(facts=None, not_compared="Set DVD_RENTAL_SOURCE_URL.")

    result = chain.run(ingestion=Mute(**chain.ingestion.model_dump()))
    found = failed(result)
    assert {(check.severity, check.blocking) for check in found.values()} == {(WARN, False)}
    assert all("DVD_RENTAL_SOURCE_URL" in str(check.description) for check in found.values())
    assert were_built(result)


def test_counts_of_tables_that_airbyte_fills_are_compared(chain: Chain, database_url: str) -> None:
    chain.domain = DVD_RENTAL
    chain.run()
    slot = chain.ingestion.slot

    def compare(rows: Mapping[str, int], failures: Mapping[str, str]) -> dict[str, object]:
        return dict(compare_counts(database_url, DVD_RENTAL, slot, rows, failures))

    rows = {
        table.name: int(chain.source.execute(f"select count(*) from {table.name}").fetchone()[0])  # type: ignore[index]
        for table in DVD_RENTAL.tables
    }
    assert all(it.agrees and it.columns is None for it in compare(rows, {}).values())
    assert {it.columns for it in compare_sums(chain, database_url, rows)} == {()}
    chain.spoil(
        "update dvd_rental.rental set return_date = null, inventory_id = inventory_id + 1"
        " where rental_id = (select min(rental_id) from dvd_rental.rental where return_date is not null)"
    )
    (spoilt,) = (it for it in compare_sums(chain, database_url, rows) if not it.agrees)
    assert (spoilt.table, spoilt.columns) == ("rental", ("inventory_id", "return_date"))
    short = compare({**rows, "rental": rows["rental"] - 2}, {"city": "it cannot be read"})
    assert (short["rental"].agrees, short["rental"].missing) == (False, 2)
    assert short["city"].error == "it cannot be read"
    chain.source.execute(
        "delete from payment where rental_id in (select rental_id from rental order by 1 limit 2)"
    )
    chain.source.execute(
        "delete from rental where rental_id in (select rental_id from rental order by 1 limit 2)"
    )
    waiting = compare(rows, {})["rental"]
    assert (waiting.agrees, waiting.pending) == (True, 2)
    assert waiting.pending_since is not None


def compare_sums(chain: Chain, url: str, rows: Mapping[str, int]) -> Collection[TableVerification]:
    sums = sum_raw_tables(chain.warehouse, DVD_RENTAL, set(rows))
    return compare_counts(url, DVD_RENTAL, chain.ingestion.slot, rows, {}, raw_sums=sums).values()


def test_a_missing_warehouse_is_one_message(chain: Chain) -> None:
    chain.run()
    shutil.move(chain.warehouse.path, f"{chain.warehouse.path}.away")
    result = chain.check()
    assert not result.success
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "There is no warehouse" in str(failure.step_failure_data.user_failure_data.description)
