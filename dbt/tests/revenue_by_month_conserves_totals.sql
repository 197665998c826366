{{ config(meta={
    "description": "As many payments and dollars as the source has",
    "dagster": {"ref": {"name": "revenue_by_month"}}
}) }}

with report as (
    select
        coalesce(sum(payments), 0) as payments,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('revenue_by_month') }}
),

payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('stg_dvd_rental__payment') }}
)

select
    report.payments,
    payments.payments as expected_payments,
    report.revenue,
    payments.revenue as expected_revenue
from report
cross join payments
where
    report.payments != payments.payments
    or report.revenue != payments.revenue
