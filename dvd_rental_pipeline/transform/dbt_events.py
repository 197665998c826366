"""dbt's messages as Dagster events."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import dagster as dg
from dagster_dbt import DagsterDbtCliRuntimeError, DagsterDbtTranslator, DbtCliInvocation, DbtProject

from dvd_rental_pipeline.transform.build_plan import BuildPlan
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, DataTimes
from dvd_rental_pipeline.transform.dbt_output import messages
from dvd_rental_pipeline.transform.dbt_results import NodeResult, note_result

DbtEvent: TypeAlias = (
    dg.Output[Any]
    | dg.MaterializeResult[Any]
    | dg.AssetMaterialization
    | dg.AssetCheckResult
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
)

ROW_COUNT_MESSAGE = re.compile(r"rows in \S+: (?P<rows>\d+)$")
"""What the macro `log_row_count` logs."""


@dataclass(frozen=True)
class RunningBuild:
    """A dbt that was started for `plan`, by the step of `context`; `results` are by unique id."""

    invocation: DbtCliInvocation
    context: dg.AssetExecutionContext
    translator: DagsterDbtTranslator
    project: DbtProject
    times: DataTimes
    plan: BuildPlan
    results: dict[str, NodeResult] = field(default_factory=dict)

    def stream_events(self) -> Iterator[DbtEvent]:
        """Dagster's events as soon as dbt logs them; those of tables with row count and data timestamp.

        Raises:
            DagsterDbtCliRuntimeError: dbt ended with an error.
        """
        rows: dict[str, int] = {}
        built = list(self.plan.reused)
        for message in messages(self.invocation):
            note_result(self.results, message)
            if row_count := ROW_COUNT_MESSAGE.match(str(message)):
                rows[message.raw_event["data"]["node_info"]["unique_id"]] = int(row_count["rows"])
            for event in message.to_default_asset_events(
                manifest=self.invocation.manifest,
                dagster_dbt_translator=self.translator,
                context=self.context,
                target_path=self.invocation.target_path,
                project=self.project,
            ):
                if isinstance(event, dg.Output):
                    unique_id = str(event.metadata["unique_id"].value)
                    built.append(unique_id)
                    yield self._materialized(event, unique_id, rows.get(unique_id), built)
                elif isinstance(event, dg.AssetCheckEvaluation):
                    yield check_result(event, {})
                else:
                    yield event

    def _materialized(
        self, event: dg.Output[Any], unique_id: str, row_count: int | None, built: Sequence[str]
    ) -> dg.Output[Any]:
        metadata: dict[str, Any] = dict(event.metadata)
        if row_count is not None:
            metadata |= table_metadata(unique_id, row_count, self.times, built)
        version = self.plan.versions.get(unique_id)
        with warnings.catch_warnings():
            # The parameter is in beta; the version of Dagster is pinned.
            warnings.simplefilter("ignore", dg.BetaWarning)
            return dg.Output(
                None,
                output_name=event.output_name,
                metadata=metadata,
                data_version=None if version is None else dg.DataVersion(version),
            )


def table_metadata(unique_id: str, row_count: int, times: DataTimes, built: Sequence[str]) -> dict[str, Any]:
    """The metadata of a table that is current once `built` are: rows and, if it is known, data timestamp."""
    metadata: dict[str, Any] = {"dagster/row_count": row_count}
    data_time = times.of([unique_id], built).get(unique_id)
    if data_time is not None:
        metadata[DATA_AS_OF] = dg.MetadataValue.timestamp(data_time)
    return metadata


def check_result(
    event: dg.AssetCheckResult | dg.AssetCheckEvaluation, details: Mapping[str, dg.MetadataValue]
) -> dg.AssetCheckResult:
    """The result of a test with `details` added to its metadata.

    Without a context, dagster-dbt yields evaluations, which a step may not yield.
    """
    return dg.AssetCheckResult(
        passed=event.passed,
        asset_key=event.asset_key,
        check_name=event.check_name,
        metadata={**(event.metadata or {}), **details},
        severity=event.severity,
    )


def error_message(error: DagsterDbtCliRuntimeError) -> str:
    """dbt's own error messages, without the command line that dagster-dbt prepends."""
    _, marker, messages_of_dbt = str(error).partition("Errors parsed from dbt logs:")
    return f"dbt failed.\n{messages_of_dbt.strip()}" if marker else str(error)
