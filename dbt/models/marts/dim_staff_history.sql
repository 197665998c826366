with snapshot_states as (
    select * from {{ ref('staff_versions') }}
),

raw_states as (
    select * from {{ ref('staff_state_history') }}
),

{{ scd2_versions('snapshot_states', 'raw_states', 'staff_id', ['staff_name', 'store_id', 'is_active']) }}

select
    valid_versions.version_key as staff_key,
    valid_versions.staff_id,
    valid_versions.staff_name,
    valid_versions.store_id,
    valid_versions.is_active,
    valid_versions.valid_from,
    valid_versions.valid_to,
    valid_versions.valid_to is null as is_current
from valid_versions
where valid_versions.valid_from < valid_versions.valid_to or valid_versions.valid_to is null

union all

select
    {{ unknown_member_key() }} as staff_key,
    -1 as staff_id,
    'Unknown' as staff_name,
    cast(null as integer) as store_id,
    cast(null as boolean) as is_active,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
