with state_history as (
    select * from {{ ref('customer_state_history') }}
)

select
    customer_id,
    customer_name,
    store_id,
    address_id,
    is_active,
    district,
    city_id,
    is_deleted,
    change_lsn,
    committed_at
from state_history
where is_current
