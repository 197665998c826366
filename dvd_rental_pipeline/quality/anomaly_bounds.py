"""Whether a metric changed from one run to the next as it usually does: bounds learned from its own history.

Robust statistics, so that neither bursts and gaps of normal business nor a past accident distort the bounds:
the typical step is the median of past steps, its spread their median absolute deviation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import dagster as dg

from dvd_rental_pipeline.core.runbook import RUNBOOK, Section
from dvd_rental_pipeline.quality.metric_history import MetricHistory, last_full_copy
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

# With fewer runs there is too little to learn from.
MIN_HISTORY = 5
ANOMALY_BOUNDS = "learnt_bounds"
"""Name of the step, which run configurations use."""
# How many spreads beyond the typical step, and which share of the last value, are still usual.
SPREADS = 8.0
USUAL_GROWTH = 0.5
USUAL_LOSS = 0.1
# A small amount of data may nearly double in a day; twice as much looks like a join that multiplies rows.
USUAL_FIRST_GROWTH = 0.95


@dataclass(frozen=True)
class Bounds:
    """The range of usual values, both ends included."""

    low: float
    high: float


def learn_bounds(history: Sequence[float]) -> Bounds | None:
    """Bounds for the value after `history` (oldest first); None while there is too little of it."""
    if len(history) < MIN_HISTORY:
        return None
    last = history[-1]
    steps = [after - before for before, after in pairwise(history)]
    increase = _usual_step([step for step in steps if step > 0])
    decrease = _usual_step([-step for step in steps if step < 0])
    growth = USUAL_FIRST_GROWTH if increase is None else USUAL_GROWTH
    return Bounds(
        low=last - max(decrease or 0.0, USUAL_LOSS * abs(last)),
        high=last + max(increase or 0.0, growth * abs(last)),
    )


def _usual_step(steps: Sequence[float]) -> float | None:
    """The largest usual step; None with too few past steps."""
    if len(steps) < MIN_HISTORY - 1:
        return None
    typical = median(steps)
    return typical + SPREADS * median(abs(step - typical) for step in steps)


class AnomalyBoundsConfig(dg.Config):
    """Launch configuration. With `accept`, every value passes and is learned: the way to release a correct
    value.
    """

    accept: bool = False


@dataclass(frozen=True)
class TrackedMetric:
    """A number of one asset that is tracked over runs: `sql` returns it as one row of one column."""

    asset: dg.AssetKey
    name: str
    sql: str
    description: str

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check of this metric; it blocks, since consumers would read a wrong number."""
        return dg.AssetCheckSpec(
            name=f"{self.name}_within_learnt_bounds",
            asset=self.asset,
            blocking=True,
            description=f"{self.description} changed since the last run as usual: it grew by at most half (at "
            "first, by nearly all of it) and fell by at most a tenth, or changed by at most the typical step "
            "of past runs plus eight spreads.",
            metadata={RUNBOOK: Section.LEARNT_BOUNDS.reference},
        )


def build_anomaly_checks(
    metrics: Sequence[TrackedMetric], copied_asset: dg.AssetKey
) -> dg.AssetChecksDefinition:
    """One step with a check for each of `metrics`.

    `copied_asset` is the raw table whose full copies start a new history: the copy may be of another database.
    """
    by_key = {metric.spec.key: metric for metric in metrics}

    @dg.multi_asset_check(name=ANOMALY_BOUNDS, specs=[metric.spec for metric in metrics], can_subset=True)
    def anomaly_bounds(
        context: dg.AssetCheckExecutionContext,
        config: AnomalyBoundsConfig,
        warehouse: WarehouseResource,
        metric_history: MetricHistory,
    ) -> Iterator[dg.AssetCheckResult]:
        since = last_full_copy(context.instance, copied_asset)
        selected = [by_key[key] for key in by_key if key in context.selected_asset_check_keys]
        values = _read_values(warehouse, selected)
        past = metric_history.read(context.instance, list(values), since=since)
        results = {
            metric.spec.key: evaluate_metric(
                metric, values[metric.spec.key], past[metric.spec.key], accept=config.accept
            )
            for metric in selected
        }
        metric_history.add({key: values[key] for key, result in results.items() if result.passed}, since=since)
        yield from results.values()

    return anomaly_bounds


def evaluate_metric(
    metric: TrackedMetric, value: float, history: Sequence[float], *, accept: bool = False
) -> dg.AssetCheckResult:
    """The result for `value` after `history`, oldest first."""
    bounds = learn_bounds(history)
    metadata: dict[str, dg.MetadataValue] = {
        "value": dg.FloatMetadataValue(value),
        "runs_learnt_from": dg.IntMetadataValue(len(history)),
    }
    if bounds is None:
        found = f"{value:,.2f}; bounds need the history of {MIN_HISTORY} runs, and there are {len(history)}."
        return _result(metric, passed=True, found=found, metadata=metadata)
    metadata |= {"low": dg.FloatMetadataValue(bounds.low), "high": dg.FloatMetadataValue(bounds.high)}
    is_usual = bounds.low <= value <= bounds.high
    found = f"{value:,.2f} after {history[-1]:,.2f}; usual is {bounds.low:,.2f} to {bounds.high:,.2f}."
    if not is_usual:
        found += " Accepted manually." if accept else " A join may have multiplied rows, or rows were lost."
    return _result(metric, passed=is_usual or accept, found=found, metadata=metadata)


def _result(
    metric: TrackedMetric, *, passed: bool, found: str, metadata: Mapping[str, dg.MetadataValue]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=metric.asset,
        check_name=metric.spec.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=found,
        metadata=metadata,
    )


def _read_values(
    warehouse: WarehouseResource, metrics: Sequence[TrackedMetric]
) -> Mapping[dg.AssetCheckKey, float]:
    """The present value of every metric, in one statement."""
    selects = [f"select {position} as n, ({metric.sql}) as v" for position, metric in enumerate(metrics)]
    rows = warehouse.query(" union all ".join(selects)).values if selects else []
    return {metrics[int(position)].spec.key: float(value) for position, value in rows}
