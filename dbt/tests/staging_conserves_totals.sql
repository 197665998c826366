{{ config(meta={
    "description": "Rentals, payments and revenue equal those of the raw tables without deleted rows",
    "dagster": {"ref": {"name": "stg_dvd_rental__payment"}}
}) }}

with raw_payments as (
    select
        count(*) as payments,
        coalesce(sum({{ source_money('amount') }}), 0) as revenue
    from {{ source('dvd_rental', 'payment') }}
    where _ab_cdc_deleted_at is null
),

raw_rentals as (
    select count(*) as rentals
    from {{ source('dvd_rental', 'rental') }}
    where _ab_cdc_deleted_at is null
),

payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('stg_dvd_rental__payment') }}
),

rentals as (
    select count(*) as rentals
    from {{ ref('stg_dvd_rental__rental') }}
)

select
    payments.payments,
    raw_payments.payments as expected_payments,
    payments.revenue,
    raw_payments.revenue as expected_revenue,
    rentals.rentals,
    raw_rentals.rentals as expected_rentals
from payments
cross join raw_payments
cross join rentals
cross join raw_rentals
where
    payments.payments != raw_payments.payments
    or payments.revenue != raw_payments.revenue
    or rentals.rentals != raw_rentals.rentals
