with customers as (
    select * from {{ ref('stg_dvd_rental__customer') }}
),

addresses as (
    select * from {{ ref('stg_dvd_rental__address') }}
),

-- Keys alone: that is all a deleted row keeps.
tombstones as (
    select
        cast(customer_id as integer) as customer_id,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from {{ source('dvd_rental', 'customer') }}
    where _ab_cdc_deleted_at is not null
)

select
    customers.customer_id,
    customers.customer_name,
    customers.store_id,
    customers.address_id,
    customers.is_active,
    addresses.district,
    addresses.city_id,
    false as is_deleted,
    -- A move is a change of the address or of the customer: the later one dates it.
    greatest(customers.change_lsn, coalesce(addresses.change_lsn, customers.change_lsn)) as change_lsn,
    greatest(customers.committed_at, coalesce(addresses.committed_at, customers.committed_at)) as committed_at
from customers
left join addresses on customers.address_id = addresses.address_id

union all

select
    customer_id,
    cast(null as varchar) as customer_name,
    cast(null as integer) as store_id,
    cast(null as integer) as address_id,
    cast(null as boolean) as is_active,
    cast(null as varchar) as district,
    cast(null as integer) as city_id,
    true as is_deleted,
    change_lsn,
    committed_at
from tombstones
