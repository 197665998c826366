"""Reads the records of the report from a Dagster instance, whatever storage it has."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from dvd_rental_pipeline.core.runbook import DBT_FAILED_ROWS, FAILED_ROWS, SAMPLE
from dvd_rental_pipeline.publishing.check_report.declared_checks import DeclaredCheck
from dvd_rental_pipeline.publishing.check_report.executions import CheckExecution, read_histories
from dvd_rental_pipeline.publishing.check_report.outcomes import PlannedRuns, execution_outcome
from dvd_rental_pipeline.publishing.check_report.records import (
    CheckRecord,
    CheckReport,
    Outcome,
    PastOutcome,
    worst_first,
)
from dvd_rental_pipeline.quality.findings import describe_failure, failed_rows
from dvd_rental_pipeline.transform.manifest import DbtUnitTest
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Rows

if TYPE_CHECKING:
    # Its module loads SQLAlchemy, which takes a third of a second.
    from dvd_rental_pipeline.core.private_api.dagster_storage import AssetRecord

HISTORY_LENGTH = 10
LAYERS = ("raw", "staging", "snapshots", "marts", "reports", "site")
# Metadata of every evaluation of a dbt test that is not a measurement of the data.
NOT_MEASUREMENTS = {FAILED_ROWS, DBT_FAILED_ROWS, "Execution Duration"}

FINDINGS = {
    Outcome.ERRORED: "The check could not be evaluated.",
    Outcome.SKIPPED: "Skipped: its run did not update every table that the check reads.",
    Outcome.NOT_RUN: "Never evaluated.",
    Outcome.IN_PROGRESS: "The evaluation is in progress.",
    Outcome.PASSED: "The check passed.",
}
"""What the report says where an evaluation has no finding of its own."""
NOT_REACHED = "Not evaluated: a step that it depends on failed, or its run was stopped."


def read_report(
    instance: dg.DagsterInstance,
    checks: Sequence[DeclaredCheck],
    *,
    unit_tests: Sequence[DbtUnitTest] = (),
    data_as_of: datetime | None = None,
    private: Collection[str] = (),
    ending_run: str | None = None,
) -> CheckReport:
    """The report on `checks` from the storage of `instance`.

    Columns named in `private`, in lower case, are left out of samples. `ending_run` is the id of the run whose
    last step is the caller: checks that it has not evaluated yet count as skipped.
    """
    keys = [check.key for check in checks]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    histories = read_histories(instance, latest, HISTORY_LENGTH)
    executions = [execution for history in histories.values() for execution in history]
    runs = PlannedRuns.read(instance, executions, ending_run)
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


def read_data_as_of(query: Callable[[str], Rows]) -> datetime | None:
    """The data timestamp of the marts, in the time zone of the business; None if it cannot be queried."""
    try:
        (row,) = query("select as_of from marts.data_as_of").values
    except (WarehouseError, ValueError):
        return None
    return row[0] if isinstance(row[0], datetime) else None


def _record(
    check: DeclaredCheck,
    executions: Sequence[CheckExecution],
    runs: PlannedRuns,
    asset: "AssetRecord | None",
    private: Collection[str],
) -> CheckRecord:
    history = [
        PastOutcome(
            outcome=execution_outcome(execution, runs, is_dbt_test=check.is_dbt_test),
            at=datetime.fromtimestamp(execution.at, UTC),
            run_id=execution.run_id,
        )
        for execution in reversed(executions)
    ]
    last = executions[0] if executions else None
    evaluation = last.evaluation if last is not None else None
    metadata: Mapping[str, Any] = evaluation.metadata if evaluation else {}
    outcome = history[-1].outcome if history else Outcome.NOT_RUN
    is_warning = evaluation.severity is dg.AssetCheckSeverity.WARN if evaluation else not check.blocking
    was_reached = last is None or last.run_id not in runs.failed_steps
    return CheckRecord(
        asset=check.key.asset_key.to_user_string(),
        check=check.key.name,
        layer=check.layer,
        owners=check.owners,
        description=check.description,
        blocking=check.blocking,
        severity="warn" if is_warning else "error",
        outcome=outcome,
        found=(_finding(outcome, evaluation) if was_reached or outcome is not Outcome.SKIPPED else NOT_REACHED),
        stale=last is not None and evaluation is not None and _is_stale(last, evaluation, asset),
        failed_rows=None if evaluation is None else failed_rows(evaluation),
        sample=_sample(metadata, private),
        numbers={
            name: number
            for name, value in metadata.items()
            if name not in NOT_MEASUREMENTS and (number := _number(value)) is not None
        },
        at=history[-1].at if history else None,
        run_id=history[-1].run_id if history else "",
        history=history,
        runbook=check.runbook,
    )


def _finding(outcome: Outcome, evaluation: dg.AssetCheckEvaluation | None) -> str:
    if evaluation is None:
        return FINDINGS[outcome]
    if outcome is Outcome.PASSED:
        return evaluation.description or FINDINGS[outcome]
    return describe_failure(evaluation)


def _is_stale(
    execution: CheckExecution, evaluation: dg.AssetCheckEvaluation, asset: "AssetRecord | None"
) -> bool:
    """Whether the asset was materialized after the evaluation, by another run."""
    materialized = asset.asset_entry.last_materialization_record if asset else None
    if materialized is None or materialized.run_id == execution.run_id:
        return False
    target = evaluation.target_materialization_data
    if target is not None:
        return target.storage_id != materialized.storage_id
    return bool(materialized.timestamp > execution.at)


def _sample(
    metadata: Mapping[str, Any], private: Collection[str]
) -> Sequence[Mapping[str, str | int | float | bool | None]]:
    table = metadata.get(SAMPLE)
    if not isinstance(table, dg.TableMetadataValue):
        return []
    # The storage keeps the order of the schema, not that of the values.
    names = [column.name for column in table.schema.columns if column.name.lower() not in private]
    return [{name: record.data[name] for name in names if name in record.data} for record in table.records]


def _number(value: object) -> float | None:
    return value.value if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) else None
