"""The outcome of one execution of a check, from its record and the state of its run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecordStatus,
    StepEventStatus,
)
from dvd_rental_pipeline.publishing.check_report.executions import CheckExecution
from dvd_rental_pipeline.publishing.check_report.records import Outcome
from dvd_rental_pipeline.quality.findings import is_error


@dataclass(frozen=True)
class PlannedRuns:
    """Runs with executions that are still planned: the unfinished ones, and the failed steps of the others.

    All other runs have evaluated their checks and are not queried.
    """

    unfinished: Collection[str]
    failed_steps: Mapping[str, Collection[str]]

    @classmethod
    def read(
        cls,
        instance: dg.DagsterInstance,
        executions: Sequence[CheckExecution],
        ending_run: str | None,
    ) -> "PlannedRuns":
        """The runs of `executions`; `ending_run` counts as failed, since it will evaluate no other check."""
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


def execution_outcome(execution: CheckExecution, runs: PlannedRuns, *, is_dbt_test: bool) -> Outcome:
    """How `execution` ended."""
    evaluation = execution.evaluation
    if execution.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
        return Outcome.PASSED
    if execution.status is AssetCheckExecutionRecordStatus.FAILED and evaluation is not None:
        if is_error(evaluation):
            return Outcome.ERRORED
        is_warning = evaluation.severity is dg.AssetCheckSeverity.WARN
        return Outcome.WARNED if is_warning else Outcome.FAILED
    if execution.run_id in runs.unfinished:
        return Outcome.IN_PROGRESS
    step = execution.event.step_key if execution.event else None
    # All dbt tests share a step, which may have failed before it reached this one.
    if not is_dbt_test and step in runs.failed_steps.get(execution.run_id, ()):
        return Outcome.ERRORED
    return Outcome.SKIPPED
