with state_history as (
    select * from {{ ref('store_state_history') }}
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
from state_history
where is_current
