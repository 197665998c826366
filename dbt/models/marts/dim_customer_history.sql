with versions as (
    select * from {{ ref('customer_versions') }}
),

states as (
    select * from {{ ref('states_customer') }}
),

geography as (
    select * from {{ ref('dim_geography') }}
),

{{ living_versions(
    'versions',
    'states',
    'customer_id',
    ['customer_name', 'store_id', 'address_id', 'is_active', 'district', 'city_id']
) }}

select
    living.version_key as customer_key,
    living.customer_id,
    living.customer_name,
    living.store_id,
    living.is_active,
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
    {{ unknown_key() }} as customer_key,
    -1 as customer_id,
    'Unknown' as customer_name,
    cast(null as integer) as store_id,
    cast(null as boolean) as is_active,
    cast(null as varchar) as district,
    cast(null as integer) as city_id,
    'Unknown' as city,
    cast(null as integer) as country_id,
    'Unknown' as country,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
