-- Times that cannot be right are null here; `implausible_times` names them.
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
        {{ source_time('rental_date') }} as source_rented_at,
        {{ source_time('return_date') }} as source_returned_at,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select
    rental_id,
    inventory_id,
    customer_id,
    staff_id,
    {{ plausible_time('source_rented_at', 'committed_at') }} as rented_at,
    {{ plausible_time('source_returned_at', 'committed_at') }} as returned_at,
    source_rented_at,
    source_returned_at,
    updated_at,
    change_lsn,
    committed_at
from renamed
