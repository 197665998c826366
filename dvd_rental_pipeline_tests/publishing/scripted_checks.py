"""A small graph whose checks end as a test says, and real instances that remember how they did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, SAMPLE, Section
from dvd_rental_pipeline.publishing.check_report.reading import declared_checks, read_report
from dvd_rental_pipeline.publishing.check_report.records import CheckRecord, CheckReport

RAW = dg.AssetKey(["dvd_rental", "payment"])
MART = dg.AssetKey(["marts", "fct_payment"])
SAMPLE_ROWS = [
    {"payment_id": 7, "email": "mary@example.org", "note": "<b>|`twice`</b>"},
    {"payment_id": 8, "email": "jon@example.org", "note": None},
]


@dataclass
class Script:
    """How each check ends: "pass", "fail", "warn" or "raise"."""

    ends: dict[str, str] = field(default_factory=lambda: dict.fromkeys(["keys", "amounts", "totals"], "pass"))

    def result(self, name: str) -> dg.AssetCheckResult:
        end = self.ends[name]
        if end == "raise":
            raise ValueError("the check itself is broken")
        columns = dg.TableSchema([dg.TableColumn(column) for column in SAMPLE_ROWS[0]])
        sample = dg.TableMetadataValue([dg.TableRecord(row) for row in SAMPLE_ROWS], columns)
        return dg.AssetCheckResult(
            passed=end == "pass",
            severity=dg.AssetCheckSeverity.WARN if end == "warn" else dg.AssetCheckSeverity.ERROR,
            metadata={"share": 0.25, **({} if end == "pass" else {FAILED_ROWS: 2, SAMPLE: sample})},
        )


def build_graph(script: Script) -> dg.Definitions:
    """raw payment (checks: `keys`, which blocks, and `amounts`), and on it a mart (check: `totals`)."""

    @dg.asset(key=RAW, group_name="raw", owners=["team:data_platform"])
    def payment() -> None: ...

    @dg.asset(key=MART, deps=[RAW], group_name="marts", owners=["team:finance"])
    def fct_payment() -> None: ...

    @dg.asset_check(
        asset=RAW,
        blocking=True,
        description="Every row has its own key",
        metadata={RUNBOOK: Section.PRIMARY_KEY.reference},
    )
    def keys() -> dg.AssetCheckResult:
        return script.result("keys")

    @dg.asset_check(asset=RAW, description="No amount below zero. See docs/runbook.md#dbt-tests.")
    def amounts() -> dg.AssetCheckResult:
        return script.result("amounts")

    @dg.asset_check(asset=MART, blocking=True)
    def totals() -> dg.AssetCheckResult:
        return script.result("totals")

    return dg.Definitions(assets=[payment, fct_payment], asset_checks=[keys, amounts, totals])


@dataclass
class Scene:
    """The graph on an instance."""

    instance: dg.DagsterInstance
    script: Script = field(default_factory=Script)

    def run(self, ends: Mapping[str, str] | None = None, *, assets: Sequence[dg.AssetKey] = (RAW, MART)) -> str:
        """Materialize `assets` with their checks, which end as `ends` says or else pass; the run's id."""
        self.script.ends = {**Script().ends, **(ends or {})}
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=list(assets), raise_on_error=False
        ).run_id

    def materialize_without_checks(self, asset: dg.AssetKey) -> None:
        job = self.definitions().resolve_implicit_global_asset_job_def()
        job.get_subset(asset_selection={asset}, asset_check_selection=set()).execute_in_process(
            instance=self.instance
        )

    def definitions(self) -> dg.Definitions:
        return build_graph(self.script)

    def report(self, ending_run: str | None = None) -> CheckReport:
        checks = declared_checks(self.definitions().resolve_asset_graph().assets_defs)
        return read_report(self.instance, checks, private={"email"}, ending_run=ending_run)

    def records(self) -> Mapping[str, CheckRecord]:
        """The records of the report by the name of the check."""
        return {record.check: record for record in self.report().records}
