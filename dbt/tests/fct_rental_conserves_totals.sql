{{ config(meta={
    "description": "Rentals, and the payments and revenue of existing rentals, equal those of the source",
    "dagster": {"ref": {"name": "fct_rental"}}
}) }}

with fact as (
    select
        count(*) as rentals,
        coalesce(sum(payments), 0) as payments,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('fct_rental') }}
),

rentals as (
    select count(*) as rentals
    from {{ ref('stg_dvd_rental__rental') }}
),

payments as (
    select
        count(*) as payments,
        coalesce(sum(payments.amount), 0) as revenue
    from {{ ref('stg_dvd_rental__payment') }} as payments
    inner join {{ ref('stg_dvd_rental__rental') }} as rentals on payments.rental_id = rentals.rental_id
)

select
    fact.rentals,
    rentals.rentals as expected_rentals,
    fact.payments,
    payments.payments as expected_payments,
    fact.revenue,
    payments.revenue as expected_revenue
from fact
cross join rentals
cross join payments
where
    fact.rentals != rentals.rentals
    or fact.payments != payments.payments
    or fact.revenue != payments.revenue
