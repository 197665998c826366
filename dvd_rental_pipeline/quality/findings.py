"""The one wording of what a check found, for the terminal, alerts and the check report."""

import dagster as dg

from dvd_rental_pipeline.core.runbook import DBT_FAILED_ROWS, ERROR, FAILED_ROWS

DBT_STATUS = "status"


def failed_rows(evaluation: dg.AssetCheckEvaluation) -> int | None:
    """How many rows failed; None for a check that counts none."""
    value = evaluation.metadata.get(FAILED_ROWS, evaluation.metadata.get(DBT_FAILED_ROWS))
    is_number = isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None
    return int(value.value) if is_number else None  # type: ignore[union-attr, arg-type]


def is_error(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether the check could not be evaluated: dbt could not execute the test."""
    status = evaluation.metadata.get(DBT_STATUS)
    return ERROR in evaluation.metadata or (
        isinstance(status, dg.TextMetadataValue) and status.value == "error"
    )


def failure_detail(evaluation: dg.AssetCheckEvaluation) -> str | None:
    """What a check that did not pass found, as a sentence; None where the evaluation holds nothing but the
    result.
    """
    if evaluation.description:
        return evaluation.description
    if is_error(evaluation):
        reason = evaluation.metadata.get(ERROR)
        text = str(reason.value) if isinstance(reason, dg.TextMetadataValue) else ""
        return f"The check could not be evaluated. {text}".strip()
    rows = failed_rows(evaluation)
    if rows:
        return "1 row fails." if rows == 1 else f"{rows:,} rows fail."
    return None


def describe_failure(evaluation: dg.AssetCheckEvaluation) -> str:
    """`failure_detail`, or else a sentence that says that the check failed."""
    return failure_detail(evaluation) or "The check failed."
