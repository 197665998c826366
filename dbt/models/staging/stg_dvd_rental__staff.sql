-- `password` and `picture` must not leave the raw layer; `username` is not needed.
with source as (
    select * from {{ source('dvd_rental', 'staff') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(staff_id as integer) as staff_id,
        cast(store_id as integer) as store_id,
        cast(address_id as integer) as address_id,
        trim(first_name) as first_name,
        trim(last_name) as last_name,
        trim(first_name) || ' ' || trim(last_name) as staff_name,
        {{ null_if_blank('email') }} as email,
        cast(active as boolean) as is_active,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select * from renamed
