{{ config(meta={
    "description": "Rentals and revenue of a film count once for each of its actors",
    "dagster": {"ref": {"name": "top_actors"}}
}) }}

-- Expected: the totals of the facts with a known copy, minus films without actors, plus the repetitions for
-- each further actor.
with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('top_actors') }}
),

casts as (
    select
        film_id,
        count(*) as actors
    from {{ ref('bridge_film_actor') }}
    group by film_id
),

copies as (
    select
        inventory.inventory_id,
        coalesce(casts.actors, 0) as actors
    from {{ ref('dim_copy') }} as inventory
    left join casts on inventory.film_id = casts.film_id
),

rentals as (
    select
        count(copies.actors) as rentals,
        coalesce(sum(copies.actors - 1), 0) as repeats
    from {{ ref('fct_rental') }} as rentals
    left join copies on rentals.inventory_id = copies.inventory_id
),

payments as (
    select
        coalesce(sum(case when copies.actors is not null then payments.amount end), 0) as revenue,
        coalesce(sum(payments.amount * (copies.actors - 1)), 0) as repeats
    from {{ ref('fct_payment') }} as payments
    left join copies on payments.inventory_id = copies.inventory_id
)

select
    report.rentals,
    rentals.rentals + rentals.repeats as expected_rentals,
    report.revenue,
    payments.revenue + payments.repeats as expected_revenue
from report
cross join rentals
cross join payments
where
    report.rentals != rentals.rentals + rentals.repeats
    or report.revenue != payments.revenue + payments.repeats
