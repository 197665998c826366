"""The reason of a failed step, in one sentence for a person, from Dagster's event."""

import dagster as dg

# Dagster does not export the class.
_FAILED_CHECK = "DagsterAssetCheckFailedError"
NO_REASON = "no reason given"


def step_failure_message(event: dg.DagsterEvent) -> str:
    """Why a step failed: the description of a `dg.Failure`, or the innermost cause of any other exception."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    # Dagster wraps what a step raised.
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else NO_REASON


def is_check_failure(event: dg.DagsterEvent) -> bool:
    """Whether a step failed only because a blocking check did."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error is not None and error.cls_name == _FAILED_CHECK


def is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because of an interrupt, which Dagster turns into a step failure."""
    error = event.step_failure_data.error
    interrupts = {dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__}
    return error is not None and error.cls_name in interrupts
