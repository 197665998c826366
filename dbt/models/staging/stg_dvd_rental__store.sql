with source as (
    select * from {{ source('dvd_rental', 'store') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(store_id as integer) as store_id,
        cast(manager_staff_id as integer) as manager_staff_id,
        cast(address_id as integer) as address_id,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select * from renamed
