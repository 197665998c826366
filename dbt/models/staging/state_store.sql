with stores as (
    select * from {{ ref('stg_dvd_rental__store') }}
),

addresses as (
    select * from {{ ref('stg_dvd_rental__address') }}
),

-- Keys alone: that is all a deleted row keeps.
tombstones as (
    select
        cast(store_id as integer) as store_id,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from {{ source('dvd_rental', 'store') }}
    where _ab_cdc_deleted_at is not null
)

select
    stores.store_id,
    stores.manager_staff_id,
    stores.address_id,
    addresses.district,
    addresses.city_id,
    false as is_deleted,
    -- A move is a change of the address or of the store: the later one dates it.
    greatest(stores.change_lsn, coalesce(addresses.change_lsn, stores.change_lsn)) as change_lsn,
    greatest(stores.committed_at, coalesce(addresses.committed_at, stores.committed_at)) as committed_at
from stores
left join addresses on stores.address_id = addresses.address_id

union all

select
    store_id,
    cast(null as integer) as manager_staff_id,
    cast(null as integer) as address_id,
    cast(null as varchar) as district,
    cast(null as integer) as city_id,
    true as is_deleted,
    change_lsn,
    committed_at
from tombstones
