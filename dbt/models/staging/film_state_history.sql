with film_rows as (
    {{ raw_state_history(
        'film',
        [
            'film_id', 'title', 'language_id', 'release_year', 'rating', 'rental_duration', 'length', 'rental_rate',
            'replacement_cost'
        ],
        past_states_relation('film')
    ) }}
),

films as (
    select
        cast(film_id as integer) as film_id,
        trim(title) as title,
        cast(language_id as integer) as language_id,
        cast(release_year as integer) as release_year,
        cast(rating as varchar) as rating,
        cast(rental_duration as integer) as rental_duration_days,
        cast(length as integer) as length_minutes,
        {{ source_money('rental_rate') }} as rental_rate,
        {{ source_money('replacement_cost') }} as replacement_cost,
        {{ state_columns('film_id') }}
    from film_rows
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
    is_current,
    change_lsn,
    committed_at
from films
