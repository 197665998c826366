with states as (
    select * from {{ ref('states_store') }}
)

select
    store_id,
    manager_staff_id,
    address_id,
    district,
    city_id,
    is_deleted,
    change_lsn,
    committed_at
from states
where is_current
