with source as (
    select * from {{ source('dvd_rental', 'country') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(country_id as integer) as country_id,
        trim(country) as country,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
