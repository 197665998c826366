with staff as (
    select * from {{ ref('stg_dvd_rental__staff') }}
),

-- Keys alone: that is all a deleted row keeps.
tombstones as (
    select
        cast(staff_id as integer) as staff_id,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at
    from {{ source('dvd_rental', 'staff') }}
    where _ab_cdc_deleted_at is not null
)

select
    staff_id,
    staff_name,
    store_id,
    is_active,
    false as is_deleted,
    change_lsn,
    committed_at
from staff

union all

select
    staff_id,
    cast(null as varchar) as staff_name,
    cast(null as integer) as store_id,
    cast(null as boolean) as is_active,
    true as is_deleted,
    change_lsn,
    committed_at
from tombstones
