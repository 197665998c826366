with snapshot_states as (
    select * from {{ ref('store_versions') }}
),

raw_states as (
    select * from {{ ref('store_state_history') }}
),

geography as (
    select * from {{ ref('dim_geography') }}
),

{{ scd2_versions(
    'snapshot_states',
    'raw_states',
    'store_id',
    ['manager_staff_id', 'address_id', 'district', 'city_id']
) }}

select
    valid_versions.version_key as store_key,
    valid_versions.store_id,
    'Store ' || cast(valid_versions.store_id as varchar) || coalesce(', ' || geography.city, '') as store_name,
    valid_versions.manager_staff_id,
    valid_versions.district,
    valid_versions.city_id,
    geography.city,
    geography.country_id,
    geography.country,
    valid_versions.valid_from,
    valid_versions.valid_to,
    valid_versions.valid_to is null as is_current
from valid_versions
left join geography on valid_versions.city_id = geography.city_id
where valid_versions.valid_from < valid_versions.valid_to or valid_versions.valid_to is null

union all

select
    {{ unknown_member_key() }} as store_key,
    -1 as store_id,
    'Unknown' as store_name,
    cast(null as integer) as manager_staff_id,
    cast(null as varchar) as district,
    cast(null as integer) as city_id,
    'Unknown' as city,
    cast(null as integer) as country_id,
    'Unknown' as country,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
