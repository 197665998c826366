with source as (
    select * from {{ source('dvd_rental', 'city') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(city_id as integer) as city_id,
        cast(country_id as integer) as country_id,
        trim(city) as city,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
