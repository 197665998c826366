with states as (
    select * from {{ ref('states_staff') }}
)

select
    staff_id,
    staff_name,
    store_id,
    is_active,
    is_deleted,
    change_lsn,
    committed_at
from states
where is_current
