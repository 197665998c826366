"""Asset checks by a query of the rows that violate a rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, SAMPLE, Section
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

SAMPLE_ROWS = 10


@dataclass(frozen=True)
class RowCheck:
    """A check that passes if `query` returns no row.

    The columns of `query` are shown as a sample: none may be private. A check that is not blocking warns.
    """

    asset: dg.AssetKey
    name: str
    description: str
    query: str
    runbook: Section
    blocking: bool = False

    def spec(self) -> dg.AssetCheckSpec:
        """The specification of the check."""
        return check_spec(self.asset, self.name, self.description, self.runbook, blocking=self.blocking)


def check_spec(
    asset: dg.AssetKey, name: str, description: str, runbook: Section, *, blocking: bool
) -> dg.AssetCheckSpec:
    """The specification of a check, with its section of the runbook."""
    return dg.AssetCheckSpec(
        name=name,
        asset=asset,
        blocking=blocking,
        description=description,
        metadata={RUNBOOK: runbook.reference},
    )


def build_row_checks(name: str, checks: Sequence[RowCheck]) -> dg.AssetChecksDefinition:
    """One step, called `name`, that evaluates `checks`."""
    by_key = {check.spec().key: check for check in checks}

    @dg.multi_asset_check(name=name, specs=[check.spec() for check in checks], can_subset=True)
    def evaluate(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        with warehouse.reading() as reader:
            for key, check in by_key.items():
                if key in context.selected_asset_check_keys:
                    found = reader.query(
                        f"select *, count(*) over () as failed_row_count from ({check.query}) as failing"
                        f" limit {SAMPLE_ROWS}"
                    ).records()
                    rows = int(found[0]["failed_row_count"]) if found else 0
                    sample = [
                        {name: value for name, value in row.items() if name.lower() != "failed_row_count"}
                        for row in found
                    ]
                    yield row_check_result(check.spec(), rows, sample)

    return evaluate


def row_check_result(
    spec: dg.AssetCheckSpec,
    rows: int,
    sample: Sequence[Mapping[str, Any]],
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    """The result of `spec`, which `rows` rows violate, some of them in `sample`."""
    if not rows:
        found = "No row violates the rule."
    else:
        found = "1 row violates the rule." if rows == 1 else f"{rows:,} rows violate the rule."
    records = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in sample]
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if spec.blocking else dg.AssetCheckSeverity.WARN,
        description=found,
        metadata={
            FAILED_ROWS: rows,
            **({SAMPLE: dg.MetadataValue.table(records)} if records else {}),
            **(metadata or {}),
        },
    )
