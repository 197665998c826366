"""Reads the records of the report from a Dagster instance, whatever storage it has.

The latest evaluations, assets and runs come in one query each; the history takes one small query a check,
several at a time so that the way to a distant database does not add up.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    StepEventStatus,
)
from dvd_rental_pipeline.core.runbook import ERROR, FAILED_ROWS, RUNBOOK, RUNBOOK_FILE, SAMPLE
from dvd_rental_pipeline.publishing.check_report.records import (
    CheckRecord,
    CheckReport,
    Outcome,
    PastOutcome,
    UnitTest,
    worst_first,
)
from dvd_rental_pipeline.warehouse.duckdb_file import Rows, WarehouseError

if TYPE_CHECKING:
    # Its module brings SQLAlchemy, a third of a second.
    from dvd_rental_pipeline.core.private_api.dagster_storage import AssetRecord

HISTORY = 10
CONNECTIONS = 8
LAYERS = ("raw", "staging", "snapshots", "marts", "reports", "site")
DBT_TEST = "dagster_dbt/unique_id"
DBT_FAILED_ROWS = "dagster_dbt/failed_row_count"
# What every evaluation of dbt has, and says nothing of the data.
NOT_MEASURES = {FAILED_ROWS, DBT_FAILED_ROWS, "Execution Duration"}


@dataclass(frozen=True)
class DeclaredCheck:
    """A check of the graph, and what the graph says of its asset."""

    key: dg.AssetCheckKey
    description: str
    blocking: bool
    layer: str
    owners: Sequence[str]
    runbook: str | None
    is_dbt_test: bool


def declared_checks(assets: Iterable[dg.AssetsDefinition]) -> Sequence[DeclaredCheck]:
    """Every check of `assets`, among which those made by `@asset_check` are assets definitions too."""
    definitions = list(assets)
    specs = {spec.key: spec for definition in definitions for spec in definition.specs}
    checks = {spec.key: spec for definition in definitions for spec in definition.check_specs}
    return [_declared(check, specs.get(check.asset_key)) for check in checks.values()]


def _declared(check: dg.AssetCheckSpec, asset: dg.AssetSpec | None) -> DeclaredCheck:
    named = f"{check.metadata.get(RUNBOOK, '')} {check.description or ''}"
    anchor = re.search(rf"{re.escape(RUNBOOK_FILE)}#([a-z0-9-]+)", named)
    # The reference is a link of its own in the report.
    description = re.sub(
        rf"\s*\(?(?:See )?{re.escape(RUNBOOK_FILE)}#[a-z0-9-]+\)?\.?", "", check.description or ""
    )
    return DeclaredCheck(
        key=check.key,
        description=description.strip(),
        blocking=check.blocking,
        layer=(asset.group_name if asset else None) or "other",
        owners=[owner.removeprefix("team:") for owner in asset.owners] if asset else [],
        runbook=anchor.group(1) if anchor else None,
        is_dbt_test=DBT_TEST in check.metadata,
    )


def read_report(
    instance: dg.DagsterInstance,
    checks: Sequence[DeclaredCheck],
    *,
    unit_tests: Sequence[UnitTest] = (),
    data_as_of: datetime | None = None,
    private: Collection[str] = (),
    ending_run: str | None = None,
) -> CheckReport:
    """What `instance` knows of `checks`.

    Columns named in `private`, in lower case, are left out of samples. `ending_run` is the run of whoever asks,
    when that is its last step: what it has not evaluated by now it will not.
    """
    storage = instance.event_log_storage
    keys = [check.key for check in checks]
    latest = storage.get_latest_asset_check_execution_by_key(keys)

    def history_of(key: dg.AssetCheckKey) -> Sequence[AssetCheckExecutionRecord]:
        return storage.get_asset_check_execution_history(key, limit=HISTORY)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        histories = dict(zip(latest, pool.map(history_of, latest), strict=True))
    runs = _Runs.of([record for history in histories.values() for record in history], instance, ending_run)
    assets = {
        record.asset_entry.asset_key: record
        for record in instance.get_asset_records(list({key.asset_key for key in keys}))
    }
    records = [
        _record(check, histories.get(check.key, []), runs, assets.get(check.key.asset_key), private)
        for check in checks
    ]
    return CheckReport(
        records=worst_first(records, LAYERS),
        unit_tests=unit_tests,
        made_at=datetime.now(UTC),
        data_as_of=data_as_of,
    )


@dataclass(frozen=True)
class _Runs:
    """The runs that were to evaluate a check and have not; most have, and are not asked for."""

    unfinished: Collection[str]
    failed_steps: Mapping[str, Collection[str]]

    @classmethod
    def of(
        cls,
        executions: Sequence[AssetCheckExecutionRecord],
        instance: dg.DagsterInstance,
        ending_run: str | None,
    ) -> "_Runs":
        planned = {
            record.run_id for record in executions if record.status is AssetCheckExecutionRecordStatus.PLANNED
        }
        if not planned:
            return cls(set(), {})
        runs = instance.get_runs(dg.RunsFilter(run_ids=sorted(planned)))
        failed = [run.run_id for run in runs if run.status is dg.DagsterRunStatus.FAILURE]
        if ending_run in planned:
            failed.append(str(ending_run))
        return cls(
            unfinished={run.run_id for run in runs if not run.is_finished} - {ending_run},
            failed_steps={
                run_id: {
                    step.step_key
                    for step in instance.get_run_step_stats(run_id)
                    if step.status is StepEventStatus.FAILURE
                }
                for run_id in failed
            },
        )


def _outcome(execution: AssetCheckExecutionRecord, runs: _Runs, *, is_dbt_test: bool) -> Outcome:
    evaluation = execution.evaluation
    if execution.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
        return Outcome.PASSED
    if execution.status is AssetCheckExecutionRecordStatus.FAILED and evaluation is not None:
        if ERROR in evaluation.metadata or _text(evaluation.metadata.get("status")) == "error":
            return Outcome.ERRORED
        is_warning = evaluation.severity is dg.AssetCheckSeverity.WARN
        return Outcome.WARNED if is_warning else Outcome.FAILED
    if execution.run_id in runs.unfinished:
        return Outcome.IN_PROGRESS
    step = execution.event.step_key if execution.event else None
    # All of dbt's tests share a step: that it failed says nothing of one that was never reached.
    if not is_dbt_test and step in runs.failed_steps.get(execution.run_id, ()):
        return Outcome.ERRORED
    return Outcome.SKIPPED


def _record(
    check: DeclaredCheck,
    executions: Sequence[AssetCheckExecutionRecord],
    runs: _Runs,
    asset: "AssetRecord | None",
    private: Collection[str],
) -> CheckRecord:
    history = [
        PastOutcome(
            outcome=_outcome(execution, runs, is_dbt_test=check.is_dbt_test),
            at=datetime.fromtimestamp(
                execution.event.timestamp if execution.event else execution.create_timestamp, UTC
            ),
            run_id=execution.run_id,
        )
        for execution in reversed(executions)
    ]
    last = executions[0] if executions else None
    is_evaluated = last is not None and last.status is not AssetCheckExecutionRecordStatus.PLANNED
    evaluation = last.evaluation if last is not None and is_evaluated else None
    metadata: Mapping[str, Any] = evaluation.metadata if evaluation else {}
    outcome = history[-1].outcome if history else Outcome.NOT_RUN
    failed_rows = _number(metadata.get(FAILED_ROWS, metadata.get(DBT_FAILED_ROWS)))
    return CheckRecord(
        asset=check.key.asset_key.to_user_string(),
        check=check.key.name,
        layer=check.layer,
        owners=check.owners,
        description=check.description,
        blocking=check.blocking,
        severity=(
            "warn"
            if (evaluation.severity is dg.AssetCheckSeverity.WARN if evaluation else not check.blocking)
            else "error"
        ),
        outcome=outcome,
        found=(
            NOT_REACHED
            if outcome is Outcome.SKIPPED and last is not None and last.run_id in runs.failed_steps
            else _found(outcome, evaluation, failed_rows)
        ),
        stale=last is not None and evaluation is not None and _is_stale(last, evaluation, asset),
        failed_rows=None if failed_rows is None else int(failed_rows),
        sample=_sample(metadata, private),
        numbers={
            name: number
            for name, value in metadata.items()
            if name not in NOT_MEASURES and (number := _number(value)) is not None
        },
        at=history[-1].at if history else None,
        run_id=history[-1].run_id if history else "",
        history=history,
        runbook=check.runbook,
    )


FOUND = {
    Outcome.FAILED: "It is not as it should be.",
    Outcome.ERRORED: "It could not be evaluated.",
    Outcome.WARNED: "It is not as it should be.",
    Outcome.SKIPPED: "It was left out of its run, which did not bring up to date all that it looks at.",
    Outcome.NOT_RUN: "It has never been evaluated.",
    Outcome.IN_PROGRESS: "It is being evaluated.",
    Outcome.PASSED: "As it should be.",
}


NOT_REACHED = "It was not reached: something it needs failed first, or its run was stopped."


def _found(outcome: Outcome, evaluation: dg.AssetCheckEvaluation | None, failed_rows: float | None) -> str:
    if evaluation is not None and evaluation.description:
        return evaluation.description
    if outcome is Outcome.ERRORED and evaluation is not None:
        return f"{FOUND[outcome]} {_text(evaluation.metadata.get(ERROR))}".strip()
    if outcome in {Outcome.FAILED, Outcome.WARNED} and failed_rows:
        one = failed_rows == 1
        return "1 row fails." if one else f"{failed_rows:,.0f} rows fail."
    return FOUND[outcome]


def _is_stale(
    execution: AssetCheckExecutionRecord, evaluation: dg.AssetCheckEvaluation, asset: "AssetRecord | None"
) -> bool:
    """Whether the asset was materialized after the check last looked; within one run it was not."""
    materialized = asset.asset_entry.last_materialization_record if asset else None
    if materialized is None or materialized.run_id == execution.run_id:
        return False
    target = evaluation.target_materialization_data
    if target is not None:
        return target.storage_id != materialized.storage_id
    return execution.event is not None and bool(materialized.timestamp > execution.event.timestamp)


def _sample(
    metadata: Mapping[str, Any], private: Collection[str]
) -> Sequence[Mapping[str, str | int | float | bool | None]]:
    table = metadata.get(SAMPLE)
    if not isinstance(table, dg.TableMetadataValue):
        return []
    # The storage keeps the schema in order, and the values not.
    names = [column.name for column in table.schema.columns if column.name.lower() not in private]
    return [{name: record.data[name] for name in names if name in record.data} for record in table.records]


def _number(value: object) -> float | None:
    return value.value if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) else None


def _text(value: object) -> str:
    return str(value.value) if isinstance(value, dg.TextMetadataValue | dg.MarkdownMetadataValue) else ""


def read_data_as_of(query: Callable[[str], Rows]) -> datetime | None:
    """The time for which the data speak, without a zone as the business has it; none if nothing tells."""
    try:
        (row,) = query("select as_of from marts.data_as_of").values
    except (WarehouseError, ValueError):
        return None
    return row[0] if isinstance(row[0], datetime) else None


def read_unit_tests(manifest: Mapping[str, Any]) -> Sequence[UnitTest]:
    """dbt's unit tests, which run in the tests of the project and leave nothing in the instance."""
    return sorted(
        (
            UnitTest(test["model"], str(test["name"]).replace("_", " "), test.get("description") or "")
            for test in manifest.get("unit_tests", {}).values()
        ),
        key=lambda test: (test.model, test.name),
    )
