with state_history as (
    select * from {{ ref('staff_state_history') }}
)

select
    staff_id,
    staff_name,
    store_id,
    is_active,
    is_deleted,
    change_lsn,
    committed_at
from state_history
where is_current
