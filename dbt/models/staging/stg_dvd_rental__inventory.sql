with source as (
    select * from {{ source('dvd_rental', 'inventory') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(inventory_id as integer) as inventory_id,
        cast(film_id as integer) as film_id,
        cast(store_id as integer) as store_id,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
