with casts as (
    select * from {{ ref('stg_dvd_rental__film_actor') }}
)

select
    film_id,
    actor_id,
    -- What a film earned is divided by this before it is summed over actors, where a sum must not exceed the whole.
    count(*) over (partition by film_id) as actors
from casts
