{{ config(meta={
    "description": "The number of payments and the revenue equal those of the source",
    "dagster": {"ref": {"name": "fct_payment"}}
}) }}

with fact as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('fct_payment') }}
),

payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('stg_dvd_rental__payment') }}
)

select
    fact.payments,
    payments.payments as expected_payments,
    fact.revenue,
    payments.revenue as expected_revenue
from fact
cross join payments
where
    fact.payments != payments.payments
    or fact.revenue != payments.revenue
