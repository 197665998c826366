with casts as (
    select * from {{ ref('stg_dvd_rental__film_actor') }}
)

select
    film_id,
    actor_id,
    -- To divide by what is summed over actors: each film counts once for each of them.
    count(*) over (partition by film_id) as actors
from casts
