"""The sections of docs/runbook.md, and under which names a check tells what it found.

A check names its section in its specification's metadata, `{RUNBOOK: Section.COMMIT_LAG.reference}`; the report
links to it. A test holds that each section exists.
"""

from enum import StrEnum
from pathlib import Path

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

RUNBOOK_FILE = "docs/runbook.md"
RUNBOOK_PATH: Path = PROJECT_ROOT / RUNBOOK_FILE

RUNBOOK = "runbook"
"""Metadata of a check's specification: where to read what to do."""
FAILED_ROWS = "failed_rows"
"""Metadata of an evaluation: how many rows fail, a number."""
SAMPLE = "sample"
"""Metadata of an evaluation: some of the failing rows, a table without private columns."""
ERROR = "error"
"""Metadata of an evaluation: why the check could not be evaluated, in words."""


class Section(StrEnum):
    """A section of the runbook by its anchor, which is its heading in lower case with hyphens."""

    SOURCE_AND_RAW_AGREE = "source-and-raw-agree"
    SCHEMA_DRIFT = "schema-drift"
    PRIMARY_KEY = "primary-key"
    COMMIT_LAG = "commit-lag"
    CAPTURE = "capture"
    SLOT_LAG = "slot-lag"
    TOMBSTONES = "tombstones"
    QUARANTINE = "quarantine"
    SYNC_COUNT = "sync-count"
    CONSERVATION = "conservation"
    LEARNT_BOUNDS = "learnt-bounds"
    OVERLAPPING_RENTALS = "overlapping-rentals"
    FOREIGN_PAYMENTS = "foreign-payments"
    HISTORY_GAPS = "history-gaps"
    DATA_LAG = "data-lag"
    SECRET_COLUMNS = "secret-columns"  # noqa: S105 - a section of the runbook
    DBT_TESTS = "dbt-tests"
    RUN_FAILURE = "run-failure"
    OVERDUE = "overdue"
    BLOCKING_CHECK = "blocking-check"
    REPLICATION_SLOT = "replication-slot"

    @property
    def reference(self) -> str:
        """The file and the anchor."""
        return f"{RUNBOOK_FILE}#{self.value}"
