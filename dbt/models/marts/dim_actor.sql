with actors as (
    select * from {{ ref('stg_dvd_rental__actor') }}
),

casts as (
    select
        actor_id,
        count(*) as films
    from {{ ref('stg_dvd_rental__film_actor') }}
    group by actor_id
)

select
    actors.actor_id,
    actors.actor_name,
    actors.first_name,
    actors.last_name,
    coalesce(casts.films, 0) as films
from actors
left join casts on actors.actor_id = casts.actor_id
