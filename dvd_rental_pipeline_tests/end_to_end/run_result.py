"""Assert the success of a run, with the reasons of its failed steps."""

import dagster as dg

from dvd_rental_pipeline.automation.failure_messages import step_failure_message


def step_failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """A line per failed step: its key and its reason."""
    return [
        f"{event.step_key}: {step_failure_message(event)}"
        for event in result.all_events
        if event.is_step_failure
    ]


def assert_succeeded(result: dg.ExecuteInProcessResult) -> None:
    """Fail with the reason of each failed step, unless the run succeeded."""
    assert result.success, "\n".join(step_failures(result))
