{{ config(meta={
    "description": "As many rentals, payments and dollars as the source has",
    "dagster": {"ref": {"name": "top_films"}}
}) }}

with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(payments), 0) as payments,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('top_films') }}
),

rentals as (
    select count(*) as rentals
    from {{ ref('stg_dvd_rental__rental') }}
),

payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('stg_dvd_rental__payment') }}
)

select
    report.rentals,
    rentals.rentals as expected_rentals,
    report.payments,
    payments.payments as expected_payments,
    report.revenue,
    payments.revenue as expected_revenue
from report
cross join rentals
cross join payments
where
    report.rentals != rentals.rentals
    or report.payments != payments.payments
    or report.revenue != payments.revenue
