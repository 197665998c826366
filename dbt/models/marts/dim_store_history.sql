with versions as (
    select * from {{ ref('store_versions') }}
),

states as (
    select * from {{ ref('states_store') }}
),

geography as (
    select * from {{ ref('dim_geography') }}
),

{{ living_versions(
    'versions',
    'states',
    'store_id',
    ['manager_staff_id', 'address_id', 'district', 'city_id']
) }}

select
    living.version_key as store_key,
    living.store_id,
    'Store ' || cast(living.store_id as varchar) || coalesce(', ' || geography.city, '') as store_name,
    living.manager_staff_id,
    living.district,
    living.city_id,
    geography.city,
    geography.country_id,
    geography.country,
    living.valid_from,
    living.valid_to,
    living.valid_to is null as is_current
from living
left join geography on living.city_id = geography.city_id
where living.valid_from < living.valid_to or living.valid_to is null

union all

select
    {{ unknown_key() }} as store_key,
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
