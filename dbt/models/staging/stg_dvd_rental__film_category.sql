with source as (
    select * from {{ source('dvd_rental', 'film_category') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(film_id as integer) as film_id,
        cast(category_id as integer) as category_id,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
