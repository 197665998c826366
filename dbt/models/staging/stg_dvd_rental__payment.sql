-- A time that cannot be right is null here; `implausible_times` names it.
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
        {{ source_money('amount') }} as amount,
        {{ source_time('payment_date') }} as source_paid_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select
    payment_id,
    rental_id,
    customer_id,
    staff_id,
    amount,
    {{ plausible_time('source_paid_at', 'committed_at') }} as paid_at,
    source_paid_at,
    change_lsn,
    committed_at
from renamed
