"""Whether a number moved from one run to the next as it always did: bounds learnt from its own history.

Robust statistics, so that neither the bursts and gaps of real business nor one past accident spoil the bounds:
the typical step is the median of past steps, its spread their median absolute deviation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import dagster as dg

from dvd_rental_pipeline.core.runbook import RUNBOOK, Section
from dvd_rental_pipeline.warehouse.resource import Warehouse

# Before that many runs there is nothing to learn from.
LEAST_HISTORY = 5
# A copy in full may be of another database: what was before it is another history.
_COPIED = dg.AssetKey(["dvd_rental", "payment"])
HISTORY = 30
LEARNT_BOUNDS = "learnt_bounds"
# How many spreads beyond the typical step, and which share of the last value, are still usual.
SPREADS = 8.0
USUAL_GROWTH = 0.5
USUAL_LOSS = 0.1
# Little data may nearly double in a day; twice as much looks like a join that multiplies.
USUAL_FIRST_GROWTH = 0.95


@dataclass(frozen=True)
class Bounds:
    """Between which values the next one is usual, both included."""

    low: float
    high: float


def learn(history: Sequence[float]) -> Bounds | None:
    """Bounds for the value after `history` (oldest first); None while there is too little of it."""
    if len(history) < LEAST_HISTORY:
        return None
    last = history[-1]
    steps = [after - before for before, after in pairwise(history)]
    grown = _usual([step for step in steps if step > 0])
    lost = _usual([-step for step in steps if step < 0])
    growth = USUAL_FIRST_GROWTH if grown is None else USUAL_GROWTH
    return Bounds(
        low=last - max(lost or 0.0, USUAL_LOSS * abs(last)),
        high=last + max(grown or 0.0, growth * abs(last)),
    )


def _usual(steps: Sequence[float]) -> float | None:
    """The largest step that past ones make usual; None while they are too few."""
    if len(steps) < LEAST_HISTORY - 1:
        return None
    typical = median(steps)
    return typical + SPREADS * median(abs(step - typical) for step in steps)


class LearntBoundsConfig(dg.Config):
    """How to judge, chosen at launch. With `accept` every value passes and is learnt: the way to release."""

    accept: bool = False


@dataclass(frozen=True)
class TrackedMetric:
    """A number of one asset that is followed: `sql` gives it in one row of one column."""

    asset: dg.AssetKey
    name: str
    sql: str
    description: str

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check of this measure; it blocks, since a wrong number would be read."""
        return dg.AssetCheckSpec(
            name=f"{self.name}_within_learnt_bounds",
            asset=self.asset,
            blocking=True,
            description=f"{self.description} moved since the last run as it usually does: at most half of it "
            "up (nearly all of it at first), a tenth of it down, or the typical step of past runs and eight "
            "spreads.",
            metadata={RUNBOOK: Section.LEARNT_BOUNDS.reference},
        )


TRACKED_METRICS = (
    *(
        TrackedMetric(
            dg.AssetKey(["marts", table]), "rows", f"select count(*) from marts.{table}", "Number of rows"
        )
        for table in ("fct_rental", "fct_payment", "dim_customer", "dim_film")
    ),
    TrackedMetric(
        dg.AssetKey(["marts", "fct_payment"]),
        "revenue",
        "select coalesce(sum(amount), 0) from marts.fct_payment",
        "Revenue, in dollars,",
    ),
    TrackedMetric(
        dg.AssetKey(["marts", "fct_rental"]),
        "revenue",
        "select coalesce(sum(revenue), 0) from marts.fct_rental",
        "Revenue, in dollars,",
    ),
)


def build_learnt_bounds_checks(metrics: Sequence[TrackedMetric] = TRACKED_METRICS) -> dg.AssetChecksDefinition:
    """One step for all `measures`, a check each."""
    by_key = {metric.spec.key: metric for metric in metrics}

    @dg.multi_asset_check(name=LEARNT_BOUNDS, specs=[metric.spec for metric in metrics], can_subset=True)
    def learnt_bounds(
        context: dg.AssetCheckExecutionContext, config: LearntBoundsConfig, warehouse: Warehouse
    ) -> Iterator[dg.AssetCheckResult]:
        since = _copied_in_full_at(context.instance)
        wanted = [by_key[key] for key in by_key if key in context.selected_asset_check_keys]
        values = _values(warehouse, wanted)
        for metric in wanted:
            history = _history(context.instance, metric.spec.key, since)
            yield judge(metric, values[metric.spec.key], history, accept=config.accept)

    return learnt_bounds


def judge(
    metric: TrackedMetric, value: float, history: Sequence[float], *, accept: bool = False
) -> dg.AssetCheckResult:
    """The outcome for `value` after `history`, oldest first."""
    bounds = learn(history)
    metadata: dict[str, dg.MetadataValue] = {
        "value": dg.FloatMetadataValue(value),
        "runs_learnt_from": dg.IntMetadataValue(len(history)),
    }
    if bounds is None:
        told = f"{value:,.2f}; bounds are learnt from {LEAST_HISTORY} runs on, and there were {len(history)}."
        return _result(metric, passed=True, told=told, metadata=metadata)
    metadata |= {"low": dg.FloatMetadataValue(bounds.low), "high": dg.FloatMetadataValue(bounds.high)}
    usual = bounds.low <= value <= bounds.high
    told = f"{value:,.2f} after {history[-1]:,.2f}; usual is {bounds.low:,.2f} to {bounds.high:,.2f}."
    if not usual:
        told += " Accepted by hand." if accept else " A join may have multiplied rows, or rows were lost."
    passed = usual or accept
    return _result(metric, passed=passed, told=told, metadata=metadata)


def _result(
    metric: TrackedMetric, *, passed: bool, told: str, metadata: Mapping[str, dg.MetadataValue]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=metric.asset,
        check_name=metric.spec.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told,
        metadata=metadata,
    )


def _values(warehouse: Warehouse, metrics: Sequence[TrackedMetric]) -> Mapping[dg.AssetCheckKey, float]:
    """Every measure's value now, in one statement."""
    selects = [f"select {position} as n, ({metric.sql}) as v" for position, metric in enumerate(metrics)]
    rows = warehouse.query(" union all ".join(selects)).values if selects else []
    return {metrics[int(position)].spec.key: float(value) for position, value in rows}


def _copied_in_full_at(instance: dg.DagsterInstance) -> float:
    """When the payments were last copied in full, in seconds since 1970; zero when that is not known."""
    records = instance.fetch_materializations(_COPIED, limit=HISTORY).records
    for record in records:
        materialization = record.asset_materialization
        mode = materialization.metadata.get("sync_mode") if materialization else None
        if mode is not None and mode.value == "snapshot":
            return record.timestamp
    return 0.0


def _history(instance: dg.DagsterInstance, key: dg.AssetCheckKey, since: float) -> list[float]:
    """Values that passed after `since`, oldest first: what was found wrong is nothing to learn from."""
    values = []
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=HISTORY):
        evaluation = record.evaluation
        # A check that is planned has no evaluation yet, but the plan of one.
        if (
            isinstance(evaluation, dg.AssetCheckEvaluation)
            and evaluation.passed
            and record.create_timestamp >= since
        ):
            value = evaluation.metadata.get("value")
            if isinstance(value, dg.FloatMetadataValue) and value.value is not None:
                values.append(value.value)
    return values[::-1]
