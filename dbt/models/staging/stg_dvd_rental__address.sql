-- The source stores empty strings for unknown values.
with source as (
    select * from {{ source('dvd_rental', 'address') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(address_id as integer) as address_id,
        cast(city_id as integer) as city_id,
        trim(address) as address,
        {{ null_if_blank('address2') }} as address2,
        {{ null_if_blank('district') }} as district,
        {{ null_if_blank('postal_code') }} as postal_code,
        {{ null_if_blank('phone') }} as phone,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select * from renamed
