with actors as (
    select * from {{ ref('dim_actor') }}
),

casts as (
    select * from {{ ref('bridge_film_actor') }}
),

films as (
    select * from {{ ref('film_performance_by_store') }}
),

actor_sums as (
    select
        films.store_id,
        films.store_name,
        casts.actor_id,
        cast(sum(films.rentals) as bigint) as rentals,
        cast(sum(films.payments) as bigint) as payments,
        cast(sum(films.revenue) as numeric(18, 2)) as revenue
    from casts
    inner join films on casts.film_id = films.film_id
    group by films.store_id, films.store_name, casts.actor_id
)

select
    actor_sums.store_id,
    actor_sums.store_name,
    actor_sums.actor_id,
    actors.actor_name,
    actor_sums.rentals,
    actor_sums.payments,
    actor_sums.revenue,
    cast(
        row_number() over (
            partition by actor_sums.store_id order by actor_sums.rentals desc, actor_sums.actor_id asc
        ) as integer
    ) as rental_rank,
    cast(
        row_number() over (
            partition by actor_sums.store_id order by actor_sums.revenue desc, actor_sums.actor_id asc
        ) as integer
    ) as revenue_rank
from actor_sums
left join actors on actor_sums.actor_id = actors.actor_id
