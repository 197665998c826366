with state_history as (
    select * from {{ ref('film_state_history') }}
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
from state_history
where is_current
