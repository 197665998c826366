{{ config(meta={
    "description": "The sums over all stores equal each actor's totals in top_actors",
    "dagster": {"ref": {"name": "actor_performance_by_store"}}
}) }}

with stores as (
    select
        actor_id,
        sum(rentals) as rentals,
        sum(payments) as payments,
        sum(revenue) as revenue
    from {{ ref('actor_performance_by_store') }}
    group by actor_id
),

actors as (
    select * from {{ ref('top_actors') }}
)

select
    coalesce(actors.actor_id, stores.actor_id) as actor_id,
    stores.rentals,
    actors.rentals as expected_rentals,
    stores.revenue,
    actors.revenue as expected_revenue
from actors
full outer join stores on actors.actor_id = stores.actor_id
where
    actors.actor_id is null
    or coalesce(stores.rentals, 0) != actors.rentals
    or coalesce(stores.payments, 0) != actors.payments
    or coalesce(stores.revenue, 0) != actors.revenue
