"""The sections of docs/runbook.md, and the metadata names under which a check reports its result.

A check names its section in the metadata of its specification, `{RUNBOOK: Section.COMMIT_LAG.reference}`; the
report links to it. A test asserts that each section exists.
"""

from enum import StrEnum
from pathlib import Path

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

RUNBOOK_FILE = "docs/runbook.md"
RUNBOOK_PATH: Path = PROJECT_ROOT / RUNBOOK_FILE

RUNBOOK = "runbook"
"""Metadata of a check's specification: the runbook section to follow when it fails."""
FAILED_ROWS = "failed_rows"
"""Metadata of an evaluation: the number of failing rows."""
DBT_FAILED_ROWS = "dagster_dbt/failed_row_count"
"""The same in an evaluation of a dbt test."""
SAMPLE = "sample"
"""Metadata of an evaluation: a sample of the failing rows, a table without private columns."""
ERROR = "error"
"""Metadata of an evaluation: the error message of a check that could not be evaluated."""


class Section(StrEnum):
    """A section of the runbook. Its value is the anchor: the heading in lower case with hyphens."""

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
    IMPLAUSIBLE_TIMES = "implausible-times"
    PAYMENTS_WITHOUT_RENTAL = "payments-without-a-rental"
    HISTORY_GAPS = "history-gaps"
    DATA_LAG = "data-lag"
    SECRET_COLUMNS = "secret-columns"  # noqa: S105 - a section of the runbook
    DBT_TESTS = "dbt-tests"
    RUN_FAILURE = "run-failure"
    OVERDUE = "overdue"
    BLOCKING_CHECK = "blocking-check"
    REPLICATION_SLOT = "replication-slot"
    SALES_RECORDS = "sales-records"
    SALES_QUARANTINE = "sales-quarantine"
    SALES_FILES = "sales-files"
    NEW_USERS = "new-users"
    LANDING = "landing"
    PROCESSED = "processed"
    STAR_RULES = "star-rules"
    LOAD_LATENCY = "load-latency"

    @property
    def reference(self) -> str:
        """The file and the anchor, such as `docs/runbook.md#commit-lag`."""
        return f"{RUNBOOK_FILE}#{self.value}"
