-- `activebool` is left out: the business maintains the flag `active`.
with source as (
    select * from {{ source('dvd_rental', 'customer') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(customer_id as integer) as customer_id,
        cast(store_id as integer) as store_id,
        cast(address_id as integer) as address_id,
        trim(first_name) as first_name,
        trim(last_name) as last_name,
        trim(first_name) || ' ' || trim(last_name) as customer_name,
        {{ null_if_blank('email') }} as email,
        active = 1 as is_active,
        cast({{ source_time('create_date') }} as date) as source_created_on,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from source
)

select
    customer_id,
    store_id,
    address_id,
    first_name,
    last_name,
    customer_name,
    email,
    is_active,
    {{ plausible_time('source_created_on', 'committed_at') }} as created_on,
    source_created_on,
    updated_at,
    change_lsn,
    committed_at
from renamed
