with versions as (
    select * from {{ ref('staff_versions') }}
),

states as (
    select * from {{ ref('states_staff') }}
),

{{ living_versions('versions', 'states', 'staff_id', ['staff_name', 'store_id', 'is_active']) }}

select
    living.version_key as staff_key,
    living.staff_id,
    living.staff_name,
    living.store_id,
    living.is_active,
    living.valid_from,
    living.valid_to,
    living.valid_to is null as is_current
from living
where living.valid_from < living.valid_to or living.valid_to is null

union all

select
    {{ unknown_key() }} as staff_key,
    -1 as staff_id,
    'Unknown' as staff_name,
    cast(null as integer) as store_id,
    cast(null as boolean) as is_active,
    cast('1900-01-01' as timestamp) as valid_from,
    cast(null as timestamp) as valid_to,
    true as is_current
