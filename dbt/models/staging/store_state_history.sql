with store_rows as (
    {{ raw_state_history(
        'store',
        ['store_id', 'manager_staff_id', 'address_id'],
        past_states_relation('store')
    ) }}
),

stores as (
    select
        cast(store_id as integer) as store_id,
        cast(manager_staff_id as integer) as manager_staff_id,
        cast(address_id as integer) as address_id,
        {{ state_columns('store_id') }}
    from store_rows
),

addresses as (
    {{ address_state_history() }}
)

select
    stores.store_id,
    stores.manager_staff_id,
    stores.address_id,
    case when not addresses.is_deleted then addresses.district end as district,
    case when not addresses.is_deleted then addresses.city_id end as city_id,
    stores.is_deleted,
    {{ combined_state_columns('stores', 'addresses') }}
from stores
left join addresses
    on
        stores.address_id = addresses.address_id
        and {{ states_overlap('stores', 'addresses') }}
