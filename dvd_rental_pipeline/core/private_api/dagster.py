"""Private names of Dagster that are cheap to import: `import dagster` loads most of their modules."""

# No public alternative: what a condition of the project's own reads the state of checks from.
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView

# No public alternative: what `Definitions.resolve_asset_graph()` and a run's asset graph have in common.
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

# No public alternative: what a sensor of automation conditions returns for the instance to record.
from dagster._core.definitions.declarative_automation.serialized_objects import AutomationConditionEvaluation

# No public alternative: `dg.FreshnessPolicy.cron()` and `.time_window()` return the two policies, and nothing
# public reads a window or a deadline back; `DagsterInstance.get_freshness_state_records()` returns the states.
from dagster._core.definitions.freshness import CronFreshnessPolicy, FreshnessState, TimeWindowFreshnessPolicy

# No public alternative: what `SensorDefinition.evaluate_tick()` returns.
from dagster._core.definitions.sensor_definition import SensorExecutionData

# No public alternative: what `dg.define_asset_job()` returns, for annotations.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# No public alternative: the status in `DagsterInstance.get_run_step_stats()`.
from dagster._core.execution.stats import StepEventStatus

# No public alternative: the kind and the state of a sensor in `DagsterInstance.all_instigator_state()`.
from dagster._core.scheduler.instigation import InstigatorType, SensorInstigatorData

# No public alternative: the results of an asset check in the event log storage, with those still planned.
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    AssetCheckExecutionResolvedStatus,
)

# No public alternative: the clock by which conditions are evaluated.
from dagster._time import get_current_datetime

__all__ = [
    "AssetCheckExecutionRecord",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionResolvedStatus",
    "AssetGraphView",
    "AutomationConditionEvaluation",
    "BaseAssetGraph",
    "CronFreshnessPolicy",
    "FreshnessState",
    "InstigatorType",
    "SensorExecutionData",
    "SensorInstigatorData",
    "StepEventStatus",
    "TimeWindowFreshnessPolicy",
    "UnresolvedAssetJobDefinition",
    "get_current_datetime",
]
