"""The checks of the pipeline, from the source to the star."""

from collections.abc import Iterator, Sequence

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import RUNBOOK, Section
from dvd_rental_pipeline.ingestion.files.parquet_session import open_parquet_session, quote
from dvd_rental_pipeline.pipelines.totesys.asset_specs import landing_key, processed_key, warehouse_key
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.comparison import compare_landing, compare_processed
from dvd_rental_pipeline.pipelines.totesys.lake import TotesysLake
from dvd_rental_pipeline.pipelines.totesys.load import DELETED_ROWS, LOADED_RUN
from dvd_rental_pipeline.pipelines.totesys.processed import QUARANTINE
from dvd_rental_pipeline.pipelines.totesys.star import STAR, StarTable
from dvd_rental_pipeline.quality.row_checks import (
    SAMPLE_ROWS,
    RowCheck,
    build_row_checks,
    check_spec,
    row_check_result,
)
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

LATENCY_LIMIT_MINUTES = 30
_LANDING_SPECS = {
    table.name: check_spec(
        landing_key(table.name),
        "landing_equals_source",
        "Landing has as many live rows as the source, and the same newest time, up to the watermark. Deleted "
        "rows differ until the nightly comparison.",
        Section.LANDING,
        blocking=False,
    )
    for table in TOTESYS.tables
}
_PROCESSED_SPECS = {
    table.name: check_spec(
        processed_key(table.name),
        "processed_equals_landing",
        "Every landed version of a row is processed or in quarantine, and no other row is processed.",
        Section.PROCESSED,
        blocking=True,
    )
    for table in STAR
    if table.source
}
_QUARANTINE_SPECS = {
    table.source: check_spec(
        processed_key(table.name),
        "quarantine_is_empty",
        "No row waits in quarantine for a correction in the source.",
        Section.QUARANTINE,
        blocking=False,
    )
    for table in STAR
    if table.is_fact or table.name in ("dim_staff", "dim_counterparty", "dim_currency")
}


@dg.multi_asset_check(name="totesys_landing_checks", specs=list(_LANDING_SPECS.values()), can_subset=True)
def landing_checks(
    context: dg.AssetCheckExecutionContext, totesys_lake: TotesysLake
) -> Iterator[dg.AssetCheckResult]:
    """Compare landing with its source."""
    try:
        with totesys_lake.open_source(context.log.info) as url:
            compared = compare_landing(url, totesys_lake.landing_zone)
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    for table in compared:
        spec = _LANDING_SPECS[table.table]
        if spec.key in context.selected_asset_check_keys:
            figures = {
                "source_rows": table.source_rows,
                "landed_rows": table.landed_rows,
                "source_newest": table.source_newest,
                "landed_newest": table.landed_newest,
            }
            difference = max(abs(table.source_rows - table.landed_rows), 0 if table.agrees else 1)
            yield row_check_result(spec, difference, [], figures)


@dg.multi_asset_check(
    name="totesys_processed_checks",
    specs=[*_PROCESSED_SPECS.values(), *_QUARANTINE_SPECS.values()],
    can_subset=True,
)
def processed_checks(
    context: dg.AssetCheckExecutionContext, totesys_lake: TotesysLake
) -> Iterator[dg.AssetCheckResult]:
    """Compare processed files with landing, and count the quarantine."""
    selected = context.selected_asset_check_keys
    for table in compare_processed(totesys_lake.landing_zone, totesys_lake.processed_zone):
        spec = _PROCESSED_SPECS[table.table]
        if spec.key in selected:
            figures = {"missing": table.missing, "unexpected": table.unexpected}
            yield row_check_result(spec, table.missing + table.unexpected, [], figures)
    zone = totesys_lake.processed_zone
    last = zone.runs()[-1]
    with open_parquet_session() as session:
        zone.store.connect(session.connection)
        for source, spec in _QUARANTINE_SPECS.items():
            if spec.key in selected:
                file = last.file(f"{QUARANTINE}/{source}")
                key = f"{source}_id"
                rows = (
                    session.rows(
                        f"select {quote(key)}, reason from read_parquet(?) order by 1 limit {SAMPLE_ROWS}",
                        [zone.store.address(file.key)],
                    )
                    if file
                    else []
                )
                sample = [{key: row[0], "reason": row[1]} for row in rows]
                yield row_check_result(spec, file.rows if file else 0, sample)


def build_star_checks() -> dg.AssetChecksDefinition:
    """One step for the rules of the star."""
    payments = warehouse_key("fact_payment")
    rules = [
        *(_transactions_check(name) for name in ("fact_sales_order", "fact_purchase_orders")),
        RowCheck(
            payments,
            "amount_is_quantity_times_price",
            "The amount of a payment is the quantity times the price of its order, in their current versions.",
            _AMOUNTS,
            Section.STAR_RULES,
        ),
        RowCheck(
            payments,
            "paid_payments_have_their_unpaid_version",
            "A payment that was created after the day of the first load, and paid on a later day, has its "
            "unpaid version, too: no version was missed.",
            _PAID_WITHOUT_UNPAID,
            Section.STAR_RULES,
        ),
        RowCheck(
            warehouse_key("dim_date"),
            "monday_is_1",
            "The days of the week are numbered from Monday.",
            "select date_id, day_of_week from totesys.dim_date"
            " where mod(mod(date_id - date '2024-01-01', 7) + 7, 7) + 1 <> day_of_week",
            Section.STAR_RULES,
            blocking=True,
        ),
        *(_key_check(table) for table in STAR),
    ]
    return build_row_checks("totesys_star_checks", rules)


@dg.asset_check(
    asset=warehouse_key("fact_sales_order"),
    name="latency_is_short",
    description=f"The changes loaded during the last day took at most {LATENCY_LIMIT_MINUTES} minutes from the "
    "source to the warehouse.",
    metadata={RUNBOOK: Section.LOAD_LATENCY.reference},
)
def latency_is_short(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The longest latency of the last day; the UI plots it over time."""
    ((seconds,),) = warehouse.query(
        f"select max(latency_seconds) from {LOADED_RUN} where loaded_at >"
        f" (select max(loaded_at) from {LOADED_RUN}) - interval '1 day'"
    ).values
    minutes = float(seconds or 0) / 60
    passed = minutes <= LATENCY_LIMIT_MINUTES
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The slowest change of the last day took {minutes:.1f} minutes."
        if seconds is not None
        else "No change was loaded yet after the first load.",
        metadata={
            "latency_minutes": round(minutes, 2),
            **({} if seconds is None else {"latency_seconds": float(seconds)}),
        },
    )


def build_checks() -> Sequence[dg.AssetChecksDefinition]:
    """All checks of the pipeline."""
    return [landing_checks, processed_checks, build_star_checks(), latency_is_short]


def _current(table: StarTable) -> str:
    """The current version of each row that was not deleted."""
    return (
        f"select * from totesys.{table.name} where {table.record_id} in"
        f" (select max({table.record_id}) from totesys.{table.name} group by {table.key})"
        f" and {table.key} not in (select row_id from {DELETED_ROWS} where table_name = '{table.name}')"
    )


_FACTS = {table.name: table for table in STAR if table.is_fact}
_AMOUNTS = f"""
    select payment_id, payment_amount, quantity * price as expected_amount
    from ({_current(_FACTS["fact_payment"])}) as payments
    inner join totesys.dim_transaction on dim_transaction.transaction_id = payments.transaction_id
    inner join (
        select 'SALE' as kind, sales_order_id as order_id, units_sold as quantity, unit_price as price
        from ({_current(_FACTS["fact_sales_order"])}) as sales
        union all
        select 'PURCHASE' as kind, purchase_order_id as order_id, item_quantity as quantity,
            item_unit_price as price
        from ({_current(_FACTS["fact_purchase_orders"])}) as purchases
    ) as orders
        on kind = transaction_type and order_id = coalesce(sales_order_id, purchase_order_id)
    where payment_amount <> quantity * price
"""
_PAID_WITHOUT_UNPAID = f"""
    select payment_id, last_updated_date, last_updated_time
    from totesys.fact_payment
    where payment_id in (
            select payment_id from totesys.fact_payment group by payment_id
            having count(*) = 1 and min(case when paid then 1 else 0 end) = 1
        )
        and created_date > (select cast(min(loaded_at) as date) from {LOADED_RUN})
        and last_updated_date > created_date
"""


def _transactions_check(name: str) -> RowCheck:
    table = _FACTS[name]
    return RowCheck(
        warehouse_key(name),
        "order_has_exactly_one_transaction",
        "Every order that exists has exactly one transaction.",
        f"select orders.{table.key}, count(transaction_id) as transactions from ({_current(table)}) as orders"
        f" left join totesys.dim_transaction on dim_transaction.{table.key} = orders.{table.key}"
        f" group by orders.{table.key} having count(transaction_id) <> 1",
        Section.STAR_RULES,
    )


def _key_check(table: StarTable) -> RowCheck:
    key = ", ".join(table.version)
    return RowCheck(
        warehouse_key(table.name),
        "primary_key_is_unique",
        f"({key}) is unique.",
        f"select {key}, count(*) as occurrences from totesys.{table.name} group by {key} having count(*) > 1",
        Section.PRIMARY_KEY,
        blocking=True,
    )
