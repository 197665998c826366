with casts as (
    select * from {{ ref('stg_dvd_rental__film_actor') }}
)

select
    film_id,
    actor_id,
    -- Divide sums over actors by this number: a join to this bridge repeats each film once per actor.
    count(*) over (partition by film_id) as actors
from casts
