with snapshot_states as (
    select * from {{ ref('film_versions') }}
),

raw_states as (
    select * from {{ ref('film_state_history') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

{{ scd2_versions(
    'snapshot_states',
    'raw_states',
    'film_id',
    [
        'title', 'language_id', 'release_year', 'rating', 'rental_duration_days',
        'length_minutes', 'rental_rate', 'replacement_cost'
    ]
) }}

select
    valid_versions.version_key as film_key,
    valid_versions.film_id,
    valid_versions.title,
    films.category_id,
    coalesce(films.category, 'Unknown') as category,
    valid_versions.release_year,
    valid_versions.rating,
    valid_versions.length_minutes,
    valid_versions.rental_duration_days,
    valid_versions.rental_rate,
    valid_versions.replacement_cost,
    valid_versions.valid_from,
    valid_versions.valid_to,
    valid_versions.valid_to is null as is_current
from valid_versions
left join films on valid_versions.film_id = films.film_id
where valid_versions.valid_from < valid_versions.valid_to or valid_versions.valid_to is null

union all

select
    {{ unknown_member_key() }} as film_key,
    -1 as film_id,
    'Unknown' as title,
    cast(null as integer) as category_id,
    'Unknown' as category,
    cast(null as integer) as release_year,
    cast(null as varchar) as rating,
    cast(null as integer) as length_minutes,
    cast(null as integer) as rental_duration_days,
    cast(null as numeric(18, 2)) as rental_rate,
    cast(null as numeric(18, 2)) as replacement_cost,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
