"""dbt's messages and artifacts as Dagster events."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import dagster as dg
from dagster_dbt import DagsterDbtCliRuntimeError, DbtCliInvocation

from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, DataTimes
from dvd_rental_pipeline.transform.dbt_output import messages

DbtEvent: TypeAlias = (
    dg.Output[Any]
    | dg.AssetMaterialization
    | dg.AssetCheckResult
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
)

ROW_COUNT_MESSAGE = re.compile(r"rows in \S+: (?P<rows>\d+)$")
"""What the macro `log_row_count` logs."""


def stream_events(invocation: DbtCliInvocation, times: DataTimes) -> Iterator[DbtEvent]:
    """Dagster's events as soon as dbt logs them; those of tables with row count and data timestamp.

    Raises:
        DagsterDbtCliRuntimeError: dbt ended with an error.
    """
    rows: dict[str, int] = {}
    built: list[str] = []
    for message in messages(invocation):
        if row_count := ROW_COUNT_MESSAGE.match(str(message)):
            rows[message.raw_event["data"]["node_info"]["unique_id"]] = int(row_count["rows"])
        for event in message.to_default_asset_events(
            manifest=invocation.manifest,
            dagster_dbt_translator=invocation.dagster_dbt_translator,
            context=invocation.context,
            target_path=invocation.target_path,
            project=invocation.project,
        ):
            unique_id = str(event.metadata["unique_id"].value)
            if isinstance(event, dg.Output) and unique_id in rows:
                built.append(unique_id)
                metadata: dict[str, Any] = {**event.metadata, "dagster/row_count": rows[unique_id]}
                data_time = times.of([unique_id], built).get(unique_id)
                if data_time is not None:
                    metadata[DATA_AS_OF] = dg.MetadataValue.timestamp(data_time)
                yield event.with_metadata(metadata)
            elif isinstance(event, dg.AssetCheckEvaluation):
                yield check_result(event, {})
            else:
                yield event


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


def read_run_results(invocation: DbtCliInvocation) -> Mapping[str, Any]:
    """dbt's artifact run_results.json; without results if dbt ended before it wrote the file."""
    try:
        return invocation.get_artifact("run_results.json")
    except (FileNotFoundError, json.JSONDecodeError):
        return {"results": []}


def error_message(error: DagsterDbtCliRuntimeError) -> str:
    """dbt's own error messages, without the command line that dagster-dbt prepends."""
    _, marker, messages_of_dbt = str(error).partition("Errors parsed from dbt logs:")
    return f"dbt failed.\n{messages_of_dbt.strip()}" if marker else str(error)
