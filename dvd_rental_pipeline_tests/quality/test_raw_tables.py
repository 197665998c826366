"""Each fault between source and raw table is caught by a check, which passes again after the fix."""

import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest

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
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.recorded_log import RecordedLog

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
COMMIT_LAG = {tier: freshness.commit_lag for tier, freshness in DVD_RENTAL_PIPELINE.tiers.items()}


def domain_of(*names: str) -> Domain:
    return replace(DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in names))


MODELS = dg.AssetKey("models")


@dataclass
class Chain:
    """A source, its raw tables, and runs that sync and check them."""

    source: psycopg.Connection
    warehouse: DuckDBWarehouseResource
    ingestion: EmbeddedIngestion
    instance: dg.DagsterInstance
    domain: Domain

    def run(
        self, *, full_refresh: bool = False, ingestion: EmbeddedIngestion | None = None
    ) -> dg.ExecuteInProcessResult:
        return self._materialize(dg.AssetSelection.all(), full_refresh, ingestion)

    def check(self, *, commit_lag: timedelta | None = None) -> dg.ExecuteInProcessResult:
        """Evaluate the checks alone, with the limit `commit_lag` for all tables if given."""
        limits = COMMIT_LAG if commit_lag is None else dict.fromkeys(COMMIT_LAG, commit_lag)
        return self._materialize(dg.AssetSelection.all_asset_checks(), None, None, limits)

    def _materialize(
        self,
        selection: dg.AssetSelection,
        full_refresh: bool | None,
        ingestion: EmbeddedIngestion | None,
        commit_lag: Mapping[FreshnessTier, timedelta] = COMMIT_LAG,
    ) -> dg.ExecuteInProcessResult:
        @dg.asset(key=MODELS, deps=raw_keys(self.domain))
        def models() -> None:
            """Stands for everything built from the raw tables."""

        config = {"ops": {"dvd_rental_ingestion": {"config": {"full_refresh": full_refresh}}}}
        return dg.materialize(
            [
                build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=self.domain)),
                build_replication_checks(self.domain, commit_lag, "ingestion"),
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
def sample(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database of sample data, to be copied."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database fault_sample template template0")
    generate(postgres.url("fault_sample"), scale=0.02, seed=1)
    yield "fault_sample"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("drop database fault_sample with (force)")


@contextmanager
def chain_of(domain: Domain, sample: str, postgres: EmbeddedPostgres, folder: Path) -> Iterator[Chain]:
    name = f"test_{secrets.token_hex(6)}"
    path = str(folder / "warehouse.duckdb")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {sample}")
    with (
        psycopg.connect(postgres.url(name), autocommit=True) as source,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Chain(
            source=source,
            warehouse=DuckDBWarehouseResource(path=path),
            ingestion=EmbeddedIngestion(
                postgres_dir=str(folder / "none"),
                warehouse_path=path,
                slot=name,
                source_url=postgres.url(name),
            ),
            instance=instance,
            domain=domain,
        )
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", [name]
        )
        admin.execute(f"drop database {name} with (force)")


ChainOf = Callable[[Domain], Chain]


@pytest.fixture
def new_chain(sample: str, postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[ChainOf]:
    """A function that gives a chain of its own."""
    with ExitStack() as open_chains:
        yield lambda domain: open_chains.enter_context(chain_of(domain, sample, postgres, tmp_path))


def synced(
    domain: Domain, sample: str, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    with chain_of(domain, sample, postgres, tmp_path_factory.mktemp("chain")) as chain:
        assert failed(chain.run()) == {}
        yield chain


@pytest.fixture(scope="module")
def film(sample: str, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A synced chain of one table, in which each test fixes what it breaks."""
    yield from synced(domain_of("film"), sample, postgres, tmp_path_factory)


@pytest.fixture(scope="module")
def rentals(
    sample: str, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    """A synced chain of two tables, in which each test fixes what it breaks."""
    yield from synced(domain_of("payment", "rental"), sample, postgres, tmp_path_factory)


def test_all_checks_pass_after_a_copy_and_after_changes(new_chain: ChainOf) -> None:
    chain = new_chain(domain_of("customer", "film_actor", "payment"))
    first = chain.run()
    assert failed(first) == {}
    assert were_built(first)
    assert len(first.get_asset_check_evaluations()) == len(CHECKS) * 3 + 2
    chain.source.execute("update customer set active = 1 - active where customer_id % 3 = 0")
    chain.source.execute("delete from payment where payment_id % 5 = 0")
    assert failed(chain.check()) == {}, "changes that wait for the next sync are no fault"
    second = chain.run()
    assert failed(second) == {}
    assert were_built(second)


def test_a_deleted_raw_row_stops_the_models_until_a_full_refresh(rentals: Chain) -> None:
    rentals.spoil(
        "delete from dvd_rental.payment where payment_id = (select min(payment_id) from dvd_rental.payment)"
    )
    result = rentals.run()
    found = failed(result)
    assert set(found) == {"payment:source_and_raw_agree", "payment:sync_count_is_right"}
    agreement = found["payment:source_and_raw_agree"]
    assert (agreement.severity, agreement.metadata["missing"].value) == (ERROR, 1)
    assert set(agreement.metadata["sample"].records[0].data) == {"payment_id"}
    assert not were_built(result)
    released = rentals.run(full_refresh=True)
    assert failed(released) == {}
    assert were_built(released)


def test_a_duplicate_payment_stops_the_models(rentals: Chain) -> None:
    rentals.spoil("insert into dvd_rental.payment from dvd_rental.payment limit 1")
    result = rentals.run()
    found = failed(result)
    assert found["payment:primary_key_is_sound"].metadata["duplicate_keys"].value == 1
    assert found["payment:primary_key_is_sound"].severity is ERROR
    assert not were_built(result)
    assert failed(rentals.run(full_refresh=True)) == {}


def test_a_changed_value_is_found_without_showing_it(new_chain: ChainOf) -> None:
    chain = new_chain(domain_of("customer"))
    chain.run()
    chain.spoil("update dvd_rental.customer set email = 'secret@example.org' where customer_id = 1")
    found = failed(chain.run())["customer:source_and_raw_agree"]
    assert found.metadata["differing"].value == 1
    assert [record.data for record in found.metadata["sample"].records] == [{"customer_id": "1"}]
    assert "secret@example.org" not in str(found)


@dataclass(frozen=True)
class Drift:
    """A change of a column of film, how it is undone, and the check and the text that report it."""

    statement: str
    release: str
    check: str
    expected: str


DRIFT = {
    ERROR: [
        Drift(
            "drop column description cascade",
            "add column description text",
            "schema_matches_catalogue",
            "description (text) was dropped",
        ),
        Drift(
            "alter column replacement_cost type numeric(5,1)",
            "alter column replacement_cost type numeric(5,2)",
            "schema_matches_catalogue",
            "replacement_cost is numeric(5,1), was numeric(5,2)",
        ),
    ],
    WARN: [
        Drift(
            "add column studio text default 'A'",
            "drop column studio",
            "columns_are_known",
            "studio (text) is new",
        ),
        Drift(
            "alter column replacement_cost type numeric(9,3)",
            "alter column replacement_cost type numeric(5,2)",
            "types_match_catalogue",
            "replacement_cost is numeric(9,3), was numeric(5,2)",
        ),
        Drift(
            "alter column last_update type timestamptz using last_update at time zone 'UTC'",
            "alter column last_update type timestamp using last_update at time zone 'UTC'",
            "types_match_catalogue",
            "last_update is timestamp with time zone, was timestamp without time zone",
        ),
        Drift(
            "drop column fulltext cascade",
            "add column fulltext tsvector",
            "types_match_catalogue",
            "fulltext (tsvector) was dropped",
        ),
    ],
}


@pytest.mark.parametrize("severity", DRIFT, ids=["models cannot read the table", "models can read the table"])
def test_drift_is_reported_by_column(film: Chain, severity: dg.AssetCheckSeverity) -> None:
    for drift in DRIFT[severity]:
        film.source.execute(f"alter table film {drift.statement}")
    result = film.run()
    found = failed(result)
    assert set(found) == {f"film:{drift.check}" for drift in DRIFT[severity]}
    for drift in DRIFT[severity]:
        assert drift.expected in str(found[f"film:{drift.check}"].description)
    assert {check.severity for check in found.values()} == {severity}
    assert {check.blocking for check in found.values()} == {severity is ERROR}, (
        "to the conditions a warning is a failure"
    )
    assert were_built(result) is (severity is WARN)
    for drift in DRIFT[severity]:
        film.source.execute(f"alter table film {drift.release}")
    released = film.run()
    assert failed(released) == {}
    assert were_built(released)


def test_accepted_difference_does_not_block_and_another_one_does(new_chain: ChainOf) -> None:
    chain = new_chain(domain_of("film"))
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


def test_a_sync_that_moves_nothing_is_caught(rentals: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "SYNC_SLACK", timedelta())
    first = rentals.run()
    said = {
        event.asset_key.path[-1]: int(str(event.materialization.metadata["dagster/row_count"].value))
        for event in first.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key != MODELS
    }
    silent = SilentIngestion(**{**rentals.ingestion.model_dump(), "said": said})
    assert failed(rentals.run(ingestion=silent)) == {}, "nothing moved, and nothing was to move"
    rentals.source.execute("update rental set return_date = now() where return_date is null")
    result = rentals.run(ingestion=silent)
    found = failed(result)
    assert set(found) == {"rental:sync_count_is_right"}
    assert "left behind" in str(found["rental:sync_count_is_right"].description)
    assert not were_built(result)
    released = rentals.run()
    assert failed(released) == {}
    assert were_built(released)


def test_a_change_that_waits_too_long_warns(rentals: Chain) -> None:
    rentals.source.execute(
        "update rental set return_date = now() + interval '1 s' where return_date is not null"
    )
    found = failed(rentals.check(commit_lag=timedelta()))
    assert found["rental:commit_lag_is_short"].severity is WARN
    assert "rental:commit_lag_is_short" not in failed(rentals.run())


def test_a_changed_publication_stops_the_models_until_it_is_fixed(rentals: Chain) -> None:
    name = rentals.ingestion.slot
    rentals.source.execute("create table stranger (id integer primary key)")
    rentals.source.execute(f"alter publication {name} drop table rental, payment")
    rentals.source.execute(
        f"alter publication {name} add table payment where (payment_id < 10), table stranger"
    )
    rentals.source.execute(f"alter publication {name} set (publish = 'insert, update')")
    found = {name: check for name, check in failed(rentals.check()).items() if "capture" in name}
    shared = next(name for name in found if name.endswith(":capture_matches_catalogue"))
    assert set(found) == {"rental:table_is_captured", "payment:table_is_captured", shared}
    assert {check.severity for check in found.values()} == {ERROR}
    assert f"It is not in the publication {name}" in str(found["rental:table_is_captured"].description)
    assert "only some of its rows or columns" in str(found["payment:table_is_captured"].description)
    assert "leaves out some kinds of changes" in str(found[shared].description)
    assert "unexpected table public.stranger" in str(found[shared].description)
    rentals.source.execute(f"alter publication {name} drop table stranger")
    released = rentals.run()
    assert failed(released) == {}
    assert were_built(released)


def test_a_source_key_without_the_catalogues_is_an_error_else_a_warning(
    new_chain: ChainOf,
) -> None:
    chain = new_chain(domain_of("film_actor", "film_category"))
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


def test_a_slot_that_grows_warns(film: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "allowed_bytes", lambda limit: 0)
    film.source.execute("create table noise as select repeat('x', 900) from generate_series(1, 2000)")
    (found,) = (check for name, check in failed(film.check()).items() if "slot" in name)
    assert found.severity is WARN
    assert int(str(found.metadata["retained_bytes"].value)) > 100_000


def test_values_that_cannot_be_stored_warn(new_chain: ChainOf) -> None:
    chain = new_chain(domain_of("payment"))
    chain.source.execute(
        "update payment set amount = 'NaN' where payment_id = (select min(payment_id) from payment)"
    )
    chain.run()
    found = failed(chain.check())
    assert found["payment:nothing_is_quarantined"].metadata["failed_rows"].value == 1
    assert found["payment:nothing_is_quarantined"].severity is WARN


def test_without_access_to_the_source_the_checks_say_so(film: Chain) -> None:
    class Mute(EmbeddedIngestion):
        def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
            return Inspection(facts=None, not_compared="Set DVD_RENTAL_SOURCE_URL.")

    result = film.run(ingestion=Mute(**film.ingestion.model_dump()))
    found = failed(result)
    assert {(check.severity, check.blocking) for check in found.values()} == {(WARN, False)}
    assert all("DVD_RENTAL_SOURCE_URL" in str(check.description) for check in found.values())
    assert were_built(result)


def test_counts_of_tables_that_airbyte_fills_are_compared(new_chain: ChainOf, log: RecordedLog) -> None:
    chain = new_chain(DVD_RENTAL)
    chain.ingestion.sync(DVD_RENTAL, log)  # type: ignore[arg-type]
    slot = chain.ingestion.slot
    url = str(chain.ingestion.source_url)

    def compare(rows: Mapping[str, int], failures: Mapping[str, str]) -> dict[str, object]:
        return dict(compare_counts(url, DVD_RENTAL, slot, rows, failures))

    rows = {
        table.name: int(chain.source.execute(f"select count(*) from {table.name}").fetchone()[0])  # type: ignore[index]
        for table in DVD_RENTAL.tables
    }
    assert all(it.agrees and it.columns is None for it in compare(rows, {}).values())
    assert {it.columns for it in compare_sums(chain, url, rows)} == {()}
    chain.spoil(
        "update dvd_rental.rental set return_date = null, inventory_id = inventory_id + 1"
        " where rental_id = (select min(rental_id) from dvd_rental.rental where return_date is not null)"
    )
    (spoilt,) = (it for it in compare_sums(chain, url, rows) if not it.agrees)
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


def test_a_missing_warehouse_is_one_message(film: Chain) -> None:
    moved = shutil.move(film.warehouse.path, f"{film.warehouse.path}.away")
    result = film.check()
    shutil.move(moved, film.warehouse.path)
    assert not result.success
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "There is no warehouse" in str(failure.step_failure_data.user_failure_data.description)
