with states as (
    select * from {{ ref('states_film') }}
)

select
    film_id,
    title,
    language_id,
    release_year,
    rating,
    rental_duration_days,
    length_minutes,
    rental_rate,
    replacement_cost,
    is_deleted,
    change_lsn,
    committed_at
from states
where is_current
