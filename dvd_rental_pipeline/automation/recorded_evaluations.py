"""What is recorded of evaluations of automation conditions: the page Automation of an asset in the UI shows it.

Dagster records each evaluation whose result differs from the one before, with the result of each operand for
each input: up to a megabyte per asset, several times per sync. It deletes old ones only where the daemon itself
evaluates conditions, not for a sensor that the code server evaluates.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import AutomationConditionEvaluation, get_current_datetime

Evaluation: TypeAlias = AutomationConditionEvaluation[Any]

KEPT_FOR = timedelta(days=2)
"""How long an evaluation stays: long enough to see in the morning why a table was not built."""


def select_recorded(evaluations: Sequence[Evaluation]) -> Sequence[Evaluation]:
    """The evaluations that requested a run, or would have if nothing had held it.

    Each condition of this project is a conjunction whose first operand says whether there is a reason to build,
    and whose others say what holds it. Below the operands, only what is true is recorded.
    """
    return [_shorten(each) for each in evaluations if _has_reason(each)]


def purge_evaluations(instance: dg.DagsterInstance) -> None:
    """Delete evaluations that are older than `KEPT_FOR`."""
    # SQLAlchemy is not imported while the definitions load.
    from dvd_rental_pipeline.core.private_api.dagster_storage import delete_evaluations  # noqa: PLC0415

    delete_evaluations(instance.schedule_storage, (get_current_datetime() - KEPT_FOR).timestamp())


def _has_reason(evaluation: Evaluation) -> bool:
    first = evaluation.child_evaluations[0] if evaluation.child_evaluations else evaluation
    return not first.true_subset.is_empty


def _shorten(evaluation: Evaluation) -> Evaluation:
    operands = [replace(each, child_evaluations=_true_only(each)) for each in evaluation.child_evaluations]
    return replace(evaluation, child_evaluations=operands)


def _true_only(evaluation: Evaluation) -> Sequence[Evaluation]:
    return [
        replace(each, child_evaluations=_true_only(each))
        for each in evaluation.child_evaluations
        if not each.true_subset.is_empty
    ]
