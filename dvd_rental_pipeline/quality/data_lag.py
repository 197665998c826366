"""Whether every snapshot, mart and report shows what was synced, as soon as its layer promises.

Beside the freshness policies, which look at when a table was built: one may be built in time from what no
longer moves, or not at all because a check holds it. Every sync evaluates these checks.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.automation.freshness import DATA_LAG
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, Section
from dvd_rental_pipeline.transform.assets import ModelTranslator
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, noted_data_times
from dvd_rental_pipeline.warehouse.resource import Warehouse

# Snowflake prints times to the millisecond: what is noted may be so much too early.
AS_PRINTED = timedelta(milliseconds=1)
# After the sync that it shares a run with.
LATER = {"dagster/priority": "-100"}


@dataclass(frozen=True)
class Watched:
    """A table that must show what is new in `sources`, the names of raw tables."""

    asset: dg.AssetKey
    sources: Collection[str]

    @property
    def limit(self) -> timedelta:
        return DATA_LAG[self.asset.path[0]]

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check of this table. It warns: old numbers are not wrong, and what reads them is no older."""
        hours = self.limit // timedelta(hours=1)
        return dg.AssetCheckSpec(
            name="data_lag_is_short",
            asset=self.asset,
            description=f"Nothing that was synced for more than {hours} h is still missing from the table.",
            metadata={RUNBOOK: Section.DATA_LAG.reference},
        )


@dataclass(frozen=True)
class Unseen:
    """Rows of the raw tables that changed after a table was built: how many, and since when they are there."""

    rows: int = 0
    since: datetime | None = None

    def and_also(self, other: "Unseen") -> "Unseen":
        """Both together."""
        times = [since for since in (self.since, other.since) if since is not None]
        return Unseen(self.rows + other.rows, min(times, default=None))


def build_data_lag_checks(tables: Sequence[Watched], domain: Domain) -> dg.AssetChecksDefinition:
    """One step with a check for each of `tables`."""
    watched = {one.spec.key: one for one in tables}

    @dg.multi_asset_check(
        name="data_lag",
        specs=[one.spec for one in watched.values()],
        can_subset=True,
        op_tags=LATER,
        description="Compares what the tables show with what was synced. Changes nothing.",
    )
    def data_lag(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        wanted = [watched[key] for key in watched if key in context.selected_asset_check_keys]
        times = noted_data_times(context.instance, [one.asset for one in wanted])
        try:
            unseen = _unseen(domain, warehouse, [one for one in wanted if one.asset in times], times)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        for one in wanted:
            yield judge(one, times.get(one.asset), unseen.get(one.asset, Unseen()), _now())

    return data_lag


def watched_tables(project: DbtProject, domain: Domain) -> Sequence[Watched]:
    """The tables of `project` whose layer promises how old its data may be, with the raw tables behind them."""
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    translator = ModelTranslator()
    found = []
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] in {"model", "snapshot"} and node["config"]["materialized"] != "view":
            asset = translator.get_asset_spec(manifest, unique_id, project).key
            if asset.path[0] in DATA_LAG:
                sources = {manifest["sources"][source]["name"] for source in _sources(manifest, unique_id)}
                found.append(Watched(asset, sources & {table.name for table in domain.tables}))
    return sorted(found, key=lambda one: one.asset)


def judge(one: Watched, as_of: datetime | None, unseen: Unseen, now: datetime) -> dg.AssetCheckResult:
    """The outcome for a table that speaks as of `as_of`, when `unseen` waits for it."""
    waiting = max(timedelta(), now - unseen.since) if unseen.since else timedelta()
    metadata: dict[str, Any] = {
        "lag_seconds": waiting.total_seconds(),
        "limit_seconds": one.limit.total_seconds(),
        FAILED_ROWS: unseen.rows if waiting > one.limit else 0,
        "waiting_rows": unseen.rows,
    }
    if as_of is None:
        told = "Not known: no build has noted yet how new its data are."
    else:
        metadata[DATA_AS_OF] = dg.MetadataValue.timestamp(as_of)
        told = f"It shows what was committed until {as_of:%Y-%m-%d %H:%M:%S} UTC"
        told += (
            f"; {unseen.rows:,} rows changed since, and wait for up to {_duration(waiting)}."
            if unseen.rows
            else ", and nothing has changed since."
        )
    return dg.AssetCheckResult(
        asset_key=one.asset,
        check_name=one.spec.name,
        passed=waiting <= one.limit,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
    )


def _sources(manifest: Mapping[str, Any], unique_id: str) -> set[str]:
    """The sources behind a model, by dbt's id."""
    if unique_id not in manifest["nodes"]:
        return {unique_id}
    parents = manifest["nodes"][unique_id]["depends_on"]["nodes"]
    return {source for parent in parents for source in _sources(manifest, parent)}


def _unseen(
    domain: Domain,
    warehouse: Warehouse,
    wanted: Sequence[Watched],
    times: Mapping[dg.AssetKey, datetime],
) -> Mapping[dg.AssetKey, Unseen]:
    """What each table does not show, of all in one statement. Tables of one build ask for the same."""
    questions = sorted({(source, times[one.asset]) for one in wanted for source in one.sources})
    if not questions:
        return {}
    # When a row was read, not when it was committed: what a sync brings late has not been waiting here.
    selects = [
        f"select {number} as question, count(*) as unseen, cast(min(_airbyte_extracted_at) as varchar) as since"
        f" from {domain.name}.{source} where cast(_ab_cdc_updated_at as timestamp)"
        f" > cast('{time + AS_PRINTED:%Y-%m-%d %H:%M:%S.%f}' as timestamp)"
        for number, (source, time) in enumerate(questions)
    ]
    rows = warehouse.query(" union all ".join(selects)).values
    answers = {questions[int(number)]: Unseen(int(unseen), _moment(since)) for number, unseen, since in rows}
    found: dict[dg.AssetKey, Unseen] = {}
    for one in wanted:
        for source in one.sources:
            answer = answers[source, times[one.asset]]
            found[one.asset] = found.get(one.asset, Unseen()).and_also(answer)
    return found


def _moment(text: str | None) -> datetime | None:
    """A time with its zone as a warehouse prints it: DuckDB `+00`, Snowflake ` +0000` or ` Z`."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)


def _duration(time: timedelta) -> str:
    minutes = round(time.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
