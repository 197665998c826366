with films as (
    select * from {{ ref('stg_dvd_rental__film') }}
),

-- Keys alone: that is all a deleted row keeps.
tombstones as (
    select
        cast(film_id as integer) as film_id,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from {{ source('dvd_rental', 'film') }}
    where _ab_cdc_deleted_at is not null
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
    false as is_deleted,
    change_lsn,
    committed_at
from films

union all

select
    film_id,
    cast(null as varchar) as title,
    cast(null as integer) as language_id,
    cast(null as integer) as release_year,
    cast(null as varchar) as rating,
    cast(null as integer) as rental_duration_days,
    cast(null as integer) as length_minutes,
    cast(null as numeric(4, 2)) as rental_rate,
    cast(null as numeric(5, 2)) as replacement_cost,
    true as is_deleted,
    change_lsn,
    committed_at
from tombstones
