with customer_rows as (
    {{ raw_state_history(
        'customer',
        ['customer_id', 'store_id', 'first_name', 'last_name', 'address_id', 'active'],
        past_states_relation('customer')
    ) }}
),

customers as (
    select
        cast(customer_id as integer) as customer_id,
        trim(first_name) || ' ' || trim(last_name) as customer_name,
        cast(store_id as integer) as store_id,
        cast(address_id as integer) as address_id,
        active = 1 as is_active,
        {{ state_columns('customer_id') }}
    from customer_rows
),

addresses as (
    {{ address_state_history() }}
)

select
    customers.customer_id,
    customers.customer_name,
    customers.store_id,
    customers.address_id,
    customers.is_active,
    case when not addresses.is_deleted then addresses.district end as district,
    case when not addresses.is_deleted then addresses.city_id end as city_id,
    customers.is_deleted,
    {{ combined_state_columns('customers', 'addresses') }}
from customers
left join addresses
    on
        customers.address_id = addresses.address_id
        and {{ states_overlap('customers', 'addresses') }}
