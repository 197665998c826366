with versions as (
    select * from {{ ref('film_versions') }}
),

states as (
    select * from {{ ref('states_film') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

{{ living_versions(
    'versions',
    'states',
    'film_id',
    [
        'title', 'language_id', 'release_year', 'rating', 'rental_duration_days',
        'length_minutes', 'rental_rate', 'replacement_cost'
    ]
) }}

select
    living.version_key as film_key,
    living.film_id,
    living.title,
    films.category_id,
    coalesce(films.category, 'Unknown') as category,
    living.release_year,
    living.rating,
    living.length_minutes,
    living.rental_duration_days,
    living.rental_rate,
    living.replacement_cost,
    living.valid_from,
    living.valid_to,
    living.valid_to is null as is_current
from living
left join films on living.film_id = films.film_id
where living.valid_from < living.valid_to or living.valid_to is null

union all

select
    {{ unknown_key() }} as film_key,
    -1 as film_id,
    'Unknown' as title,
    cast(null as integer) as category_id,
    'Unknown' as category,
    cast(null as integer) as release_year,
    cast(null as varchar) as rating,
    cast(null as integer) as length_minutes,
    cast(null as integer) as rental_duration_days,
    cast(null as numeric(4, 2)) as rental_rate,
    cast(null as numeric(5, 2)) as replacement_cost,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
