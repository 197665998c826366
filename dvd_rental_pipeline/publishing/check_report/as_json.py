"""The report as JSON, as described by `schema.json` in this folder."""

import json
from datetime import UTC, datetime
from typing import Any

from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE
from dvd_rental_pipeline.publishing.check_report.records import CheckRecord, CheckReport

VERSION = 1
"""Incremented when a field is removed or changes its meaning, not when a field is added."""


def render_json(report: CheckReport) -> str:
    """An object with the counts and, worst first, one object per check. Times are ISO 8601 in UTC."""
    return json.dumps(
        {
            "version": VERSION,
            "made_at": _time(report.made_at),
            "data_as_of": _time(report.data_as_of),
            "verdict": report.verdict,
            "counts": {outcome.value: count for outcome, count in report.counts.items()},
            "blocking_failures": report.blocking_failures,
            "stale": report.stale,
            "checks": [_check(record) for record in report.records],
            "unit_tests": [
                {"model": test.model, "name": test.title, "description": test.description}
                for test in report.unit_tests
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _check(record: CheckRecord) -> dict[str, Any]:
    return {
        "asset": record.asset,
        "check": record.check,
        "layer": record.layer,
        "owners": list(record.owners),
        "description": record.description,
        "blocking": record.blocking,
        "severity": record.severity,
        "outcome": record.outcome.value,
        "found": record.found,
        "stale": record.stale,
        "failed_rows": record.failed_rows,
        "sample": [dict(row) for row in record.sample],
        "numbers": dict(record.numbers),
        "at": _time(record.at),
        "run_id": record.run_id or None,
        "history": [
            {"outcome": past.outcome.value, "at": _time(past.at), "run_id": past.run_id or None}
            for past in record.history
        ],
        "runbook": f"{RUNBOOK_FILE}#{record.runbook}" if record.runbook else None,
    }


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    # Times in the warehouse have no time zone: they are in that of the business.
    return moment.isoformat() if moment.tzinfo is None else moment.astimezone(UTC).isoformat()
