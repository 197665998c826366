with states as (
    select * from {{ ref('states_customer') }}
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
from states
where is_current
