"""The costs of the last weeks: a file beside the page; each publication adds the runs that have ended."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from dvd_rental_pipeline.publishing.cost_report.run_costs import AssetDay, run_costs

KEPT = timedelta(days=30)
# A first publication over a long history reads no more than this of it.
FIRST = timedelta(days=2)
# Runs may be recorded as ended after others that ended later.
_OVERLAP = timedelta(hours=1)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class CostHistory:
    """The costs by asset and day, and when each of the runs counted last had ended, by its identifier."""

    days: Sequence[AssetDay] = ()
    counted: dict[str, float] | None = None

    @classmethod
    def from_json(cls, content: bytes) -> "CostHistory":
        """The history as `to_json` has written it."""
        stored = json.loads(content)
        return cls([AssetDay(**day) for day in stored["days"]], stored["counted"])

    def to_json(self) -> bytes:
        """The history as a file."""
        return json.dumps({"days": [asdict(day) for day in self.days], "counted": self.counted}).encode()

    def with_ended_runs(self, instance: dg.DagsterInstance, now: datetime) -> "CostHistory":
        """This history with the runs that have ended since, without days older than `KEPT`."""
        counted = dict(self.counted or {})
        latest = datetime.fromtimestamp(max(counted.values()), UTC) if counted else now - FIRST
        since = latest - _OVERLAP
        days: list[AssetDay] = list(self.days)
        ended = dg.RunsFilter(statuses=_ENDED, updated_after=since)
        for record in instance.get_run_records(ended, ascending=True):
            run_id = record.dagster_run.run_id
            if run_id not in counted:
                days += run_costs(instance, run_id)
                counted[run_id] = record.end_time or record.update_timestamp.timestamp()
        oldest = (now - KEPT).date().isoformat()
        recent = {run: end for run, end in counted.items() if end >= (since - _OVERLAP).timestamp()}
        return CostHistory([day for day in _summed(days) if day.day > oldest], recent)

    def with_running(self, instance: dg.DagsterInstance, run_id: str) -> "CostHistory":
        """This history with what the run `run_id` has cost so far, to be shown but not stored."""
        return replace(self, days=_summed([*self.days, *run_costs(instance, run_id)]))


def _summed(days: Iterable[AssetDay]) -> list[AssetDay]:
    """One entry per asset and day."""
    sums: dict[tuple[str, str], AssetDay] = {}
    for day in days:
        before = sums.get((day.asset, day.day))
        sums[day.asset, day.day] = (
            day
            if before is None
            else replace(
                day,
                builds=before.builds + day.builds,
                reused=before.reused + day.reused,
                seconds=before.seconds + day.seconds,
                rows=before.rows + day.rows,
                bytes=before.bytes + day.bytes,
            )
        )
    return sorted(sums.values(), key=lambda day: (day.day, day.asset))
