-- `fulltext`, the search index, is left out. Types of money and arrays differ between the warehouses.
with source as (
    select * from {{ source('dvd_rental', 'film') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(film_id as integer) as film_id,
        cast(language_id as integer) as language_id,
        trim(title) as title,
        {{ null_if_blank('description') }} as description,
        cast(release_year as integer) as release_year,
        cast(rating as varchar) as rating,
        array_to_string(special_features, ', ') as special_features,
        cast(rental_duration as integer) as rental_duration_days,
        cast(length as integer) as length_minutes,
        {{ source_money('rental_rate') }} as rental_rate,
        {{ source_money('replacement_cost') }} as replacement_cost,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select * from renamed
