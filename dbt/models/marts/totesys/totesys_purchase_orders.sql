with orders as (
    select * from {{ ref('stg_totesys__purchase_order') }}
)

select
    orders.purchase_order_id,
    orders.created_date,
    cast(currencies.currency_code as varchar) as currency_code,
    cast(orders.item_quantity * orders.item_unit_price as numeric(18, 2)) as amount
from orders
inner join {{ source('totesys', 'dim_currency') }} as currencies
    on orders.currency_id = currencies.currency_id
