"""The records of the report: one per check. No Dagster and no warehouse in here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dvd_rental_pipeline.transform.manifest import DbtUnitTest


class Outcome(StrEnum):
    """How an execution ended, worst first."""

    FAILED = "failed"
    ERRORED = "errored"  # the check could not be evaluated
    WARNED = "warned"
    SKIPPED = "skipped"  # its run ended, or a step that it depends on failed, before it was evaluated
    NOT_RUN = "not run"  # never evaluated
    IN_PROGRESS = "in progress"
    PASSED = "passed"


@dataclass(frozen=True)
class PastOutcome:
    """One execution: its outcome, its time (UTC), and the id of its run; empty if there was none."""

    outcome: Outcome
    at: datetime
    run_id: str


@dataclass(frozen=True)
class CheckRecord:
    """One check.

    Attributes:
        asset: schema/table.
        found: what the latest evaluation found, in a sentence.
        stale: whether the asset was materialized after the latest evaluation.
        failed_rows: None if the check does not count rows.
        sample: some of the failing rows, without private columns.
        numbers: other numeric metadata, by name.
        at: time of the latest execution, UTC; None if never executed.
        history: the last ten executions, oldest first.
        runbook: anchor of the section for failures.
    """

    asset: str
    check: str
    layer: str
    owners: Sequence[str]
    description: str
    blocking: bool
    severity: str
    outcome: Outcome
    found: str
    stale: bool
    failed_rows: int | None
    sample: Sequence[Mapping[str, str | int | float | bool | None]]
    numbers: Mapping[str, float]
    at: datetime | None
    run_id: str
    history: Sequence[PastOutcome]
    runbook: str | None

    @property
    def blocks(self) -> bool:
        """Whether it blocks the assets downstream."""
        return self.blocking and self.outcome in {Outcome.FAILED, Outcome.ERRORED}


class Urgency(StrEnum):
    """The groups of the report, most urgent first."""

    BLOCKING = "Blocking"
    FAILED = "Failed"
    UNKNOWN = "Not evaluated"
    STALE = "Out of date"
    WARNED = "Warnings"
    PASSED = "Passed"


DETAILED_GROUPS = (Urgency.BLOCKING, Urgency.FAILED, Urgency.WARNED)
"""The groups whose checks are shown in detail; the others are lists."""


def urgency(record: CheckRecord) -> Urgency:
    """The group of `record` in the report."""
    if record.blocks:
        return Urgency.BLOCKING
    match record.outcome:
        case Outcome.FAILED | Outcome.ERRORED:
            return Urgency.FAILED
        case Outcome.WARNED:
            return Urgency.WARNED
        case Outcome.PASSED:
            return Urgency.STALE if record.stale else Urgency.PASSED
        case _:
            return Urgency.UNKNOWN


@dataclass(frozen=True)
class CheckReport:
    """All records, worst first, then in the order of the data.

    `made_at` is UTC; `data_as_of` is the data timestamp of the marts, None if unknown.
    """

    records: Sequence[CheckRecord]
    unit_tests: Sequence[DbtUnitTest]
    made_at: datetime
    data_as_of: datetime | None

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """Number of checks by outcome; every outcome is a key."""
        counted = Counter(record.outcome for record in self.records)
        return {outcome: counted[outcome] for outcome in Outcome}

    @property
    def blocking_failures(self) -> int:
        return sum(record.blocks for record in self.records)

    @property
    def not_evaluated(self) -> int:
        """Number of checks without a result, on assets that have other results; all checks if none has any.

        The checks of a pipeline that was never run have no results.
        """
        with_result = {record.asset for record in self.records if urgency(record) is not Urgency.UNKNOWN}
        unknown = [record.asset for record in self.records if urgency(record) is Urgency.UNKNOWN]
        return sum(asset in with_result for asset in unknown) if with_result else len(unknown)

    @property
    def stale(self) -> int:
        return sum(record.stale for record in self.records)

    @property
    def groups(self) -> Mapping[Urgency, Sequence[CheckRecord]]:
        """The records by urgency, most urgent first; without empty groups."""
        grouped = {group: [record for record in self.records if urgency(record) is group] for group in Urgency}
        return {group: records for group, records in grouped.items() if records}

    @property
    def verdict(self) -> str:
        """The state of the data in one sentence."""
        if not self.records:
            return "There are no checks."
        group, records = next(iter(self.groups.items()))
        number = len(records)
        checks, was, warns = ("check", "was", "warns") if number == 1 else ("checks", "were", "warn")
        are = "is" if number == 1 else "are"
        return {
            Urgency.BLOCKING: f"{number} {checks} failed and blocked downstream tables.",
            Urgency.FAILED: f"{number} {checks} failed; nothing is blocked.",
            Urgency.WARNED: f"The data can be used; {number} {checks} {warns}.",
            Urgency.UNKNOWN: f"No check failed, but {number} {checks} {was} not evaluated.",
            Urgency.STALE: f"No check failed, but {number} {checks} {are} older than the data.",
            Urgency.PASSED: f"All {number} checks passed." if number > 1 else "The only check passed.",
        }[group]


def worst_first(records: Sequence[CheckRecord], layers: Sequence[str]) -> Sequence[CheckRecord]:
    """`records` by urgency, then by layer in the order of `layers`, then by name."""
    order = list(Urgency)
    rank = {layer: position for position, layer in enumerate(layers)}
    return sorted(
        records,
        key=lambda record: (
            order.index(urgency(record)),
            rank.get(record.layer, len(rank)),
            record.layer,
            record.asset,
            record.check,
        ),
    )
