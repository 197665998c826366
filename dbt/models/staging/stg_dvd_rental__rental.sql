with source as (
    select * from {{ source('dvd_rental', 'rental') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(rental_id as integer) as rental_id,
        cast(inventory_id as integer) as inventory_id,
        cast(customer_id as integer) as customer_id,
        cast(staff_id as integer) as staff_id,
        cast(rental_date as timestamp) as rented_at,
        cast(return_date as timestamp) as returned_at,
        cast(last_update as timestamp) as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
