"""The records of the report: one for each check. No Dagster and no warehouse in here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How an evaluation ended, worst first."""

    FAILED = "failed"
    ERRORED = "errored"  # the check itself could not be evaluated
    WARNED = "warned"
    SKIPPED = "skipped"  # its run ended, or something it needs failed, before its turn
    NOT_RUN = "not run"  # never evaluated
    IN_PROGRESS = "in progress"
    PASSED = "passed"


@dataclass(frozen=True)
class PastOutcome:
    """One evaluation: how it ended, when (UTC), and the id of its run, empty if there was none."""

    outcome: Outcome
    at: datetime
    run_id: str


@dataclass(frozen=True)
class CheckRecord:
    """What is known of one check.

    `asset` is schema/table. `found` says in words what the last evaluation found. `failed_rows` is none where
    the check does not count rows; `sample` shows some of them, without private columns. `numbers` are the other
    numeric metadata. `history` holds the last ten evaluations, oldest first, the last one included. `stale`
    tells that the asset was materialized after the check last looked at it. `runbook` is an anchor.
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
        """Whether it stops what is built on its asset."""
        return self.blocking and self.outcome in {Outcome.FAILED, Outcome.ERRORED}


@dataclass(frozen=True)
class UnitTest:
    """A dbt unit test: made-up rows through the SQL of one model."""

    model: str
    name: str
    description: str


class Urgency(StrEnum):
    """The groups of the report, most urgent first."""

    STOPPED = "Stopped"
    FAILED = "Failed"
    UNKNOWN = "Not evaluated"
    STALE = "Out of date"
    WARNED = "Warnings"
    PASSED = "Passed"


TOLD = (Urgency.STOPPED, Urgency.FAILED, Urgency.WARNED)
"""The groups whose checks have something to tell one by one; the others are lists."""


def urgency(record: CheckRecord) -> Urgency:
    """The group of the report in which `record` stands."""
    if record.blocks:
        return Urgency.STOPPED
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

    `made_at` is UTC; `data_as_of` is the time for which the data speak, none if the warehouse does not tell.
    """

    records: Sequence[CheckRecord]
    unit_tests: Sequence[UnitTest]
    made_at: datetime
    data_as_of: datetime | None

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many checks ended how, every outcome named."""
        counted = Counter(record.outcome for record in self.records)
        return {outcome: counted[outcome] for outcome in Outcome}

    @property
    def blocking_failures(self) -> int:
        return sum(record.blocks for record in self.records)

    @property
    def stale(self) -> int:
        return sum(record.stale for record in self.records)

    @property
    def groups(self) -> Mapping[Urgency, Sequence[CheckRecord]]:
        """The records of each urgency that there is, most urgent first."""
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
        return {
            Urgency.STOPPED: f"{number} {checks} failed and stopped what is built on the data.",
            Urgency.FAILED: f"{number} {checks} failed; nothing was stopped.",
            Urgency.WARNED: f"The data can be used; {number} {checks} {warns}.",
            Urgency.UNKNOWN: f"No check failed, but {number} {checks} {was} not evaluated.",
            Urgency.STALE: f"No check failed, but {number} {checks} looked at older data than there are now.",
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
