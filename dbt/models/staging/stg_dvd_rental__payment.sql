-- Amounts may arrive as floating point numbers: they are rounded before the cast to a decimal.
with source as (
    select * from {{ source('dvd_rental', 'payment') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(payment_id as integer) as payment_id,
        cast(rental_id as integer) as rental_id,
        cast(customer_id as integer) as customer_id,
        cast(staff_id as integer) as staff_id,
        cast(round(amount, 2) as numeric(5, 2)) as amount,
        cast(payment_date as timestamp) as paid_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
