with actors as (
    select * from {{ ref('dim_actor') }}
),

casts as (
    select * from {{ ref('bridge_film_actor') }}
),

-- Rentals are summed per film before the join to actors, which repeats the sums once per actor.
films as (
    select
        film_id,
        count(*) as rentals,
        sum(payments) as payments,
        sum(revenue) as revenue
    from {{ ref('fct_rental') }}
    group by film_id
),

actor_sums as (
    select
        casts.actor_id,
        sum(films.rentals) as rentals,
        sum(films.payments) as payments,
        sum(films.revenue) as revenue
    from casts
    inner join films on casts.film_id = films.film_id
    group by casts.actor_id
),

all_actors as (
    select
        actors.actor_id,
        actors.actor_name,
        actors.films,
        cast(coalesce(actor_sums.rentals, 0) as bigint) as rentals,
        cast(coalesce(actor_sums.payments, 0) as bigint) as payments,
        cast(coalesce(actor_sums.revenue, 0) as numeric(18, 2)) as revenue
    from actors
    left join actor_sums on actors.actor_id = actor_sums.actor_id
)

select
    actor_id,
    actor_name,
    films,
    rentals,
    payments,
    revenue,
    cast(row_number() over (order by rentals desc, actor_id asc) as integer) as rental_rank,
    cast(row_number() over (order by revenue desc, actor_id asc) as integer) as revenue_rank
from all_actors
