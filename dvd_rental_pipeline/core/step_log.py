"""Figures of a step's work as fields of its log lines, such as table, rows and seconds.

The log of runs writes a line as JSON, with these fields beside the run, the job and the step.
"""

from collections.abc import Mapping
from typing import Any

FIELDS = "step_fields"


def log_fields(**fields: Any) -> Mapping[str, Any]:
    """The argument `extra` of a logging call: `log.info("Landed", extra=log_fields(table="staff", rows=3))`."""
    return {FIELDS: fields}


def describe(action: str, **fields: Any) -> str:
    """The line for a person: the action and its figures."""
    figures = ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                        for name, value in fields.items() if value is not None)  # fmt: skip
    return f"{action}: {figures}"
