"""A small graph whose checks have the outcomes that a test scripts, on a real instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, SAMPLE, Section
from dvd_rental_pipeline.publishing.check_report.declared_checks import declared_checks
from dvd_rental_pipeline.publishing.check_report.reading import read_report
from dvd_rental_pipeline.publishing.check_report.records import CheckRecord, CheckReport

RAW = dg.AssetKey(["dvd_rental", "payment"])
MART = dg.AssetKey(["marts", "fct_payment"])
SAMPLE_ROWS = [
    {"payment_id": 7, "email": "mary@example.org", "note": "<b>|`twice`</b>"},
    {"payment_id": 8, "email": "jon@example.org", "note": None},
]


@dataclass
class Script:
    """The outcome of each check: "pass", "fail", "warn" or "raise"."""

    outcomes: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(["keys", "amounts", "totals"], "pass")
    )

    def result(self, name: str) -> dg.AssetCheckResult:
        outcome = self.outcomes[name]
        if outcome == "raise":
            raise ValueError("the check itself is broken")
        columns = dg.TableSchema([dg.TableColumn(column) for column in SAMPLE_ROWS[0]])
        sample = dg.TableMetadataValue([dg.TableRecord(row) for row in SAMPLE_ROWS], columns)
        return dg.AssetCheckResult(
            passed=outcome == "pass",
            severity=dg.AssetCheckSeverity.WARN if outcome == "warn" else dg.AssetCheckSeverity.ERROR,
            metadata={"share": 0.25, **({} if outcome == "pass" else {FAILED_ROWS: 2, SAMPLE: sample})},
        )


def build_graph(script: Script) -> dg.Definitions:
    """A raw table (checks `keys`, blocking, and `amounts`) and a mart downstream of it (check `totals`)."""

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
    """The graph and its instance."""

    instance: dg.DagsterInstance
    script: Script = field(default_factory=Script)

    def run(
        self, outcomes: Mapping[str, str] | None = None, *, assets: Sequence[dg.AssetKey] = (RAW, MART)
    ) -> str:
        """Materialize `assets` with their checks, which pass unless in `outcomes`; returns the run id."""
        self.script.outcomes = {**Script().outcomes, **(outcomes or {})}
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
        """The records of the report, by check name."""
        return {record.check: record for record in self.report().records}
