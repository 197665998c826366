with order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
    where occurrence = 1
),

products as (
    select * from {{ ref('dim_sales_product') }}
),

customers as (
    select * from {{ ref('dim_sales_customer') }}
),

territories as (
    select * from {{ ref('dim_sales_territory') }}
)

select
    order_lines.order_number,
    order_lines.order_line,
    order_lines.order_date,
    order_lines.ship_date,
    products.product_version_key,
    customers.customer_version_key,
    territories.territory_key,
    order_lines.product_code,
    order_lines.customer_name,
    order_lines.status,
    order_lines.status = 'Cancelled' as is_cancelled,
    order_lines.deal_size,
    order_lines.quantity,
    order_lines.unit_price,
    order_lines.list_price,
    cast(order_lines.quantity * order_lines.unit_price as numeric(18, 2)) as amount,
    cast(order_lines.quantity * order_lines.list_price as numeric(18, 2)) as list_amount,
    cast(
        {{ dbt.datediff('order_lines.order_date', 'order_lines.ship_date', 'day') }} as integer
    ) as days_to_ship,
    order_lines.file_name,
    cast(order_lines.file_line as bigint) as file_line
from order_lines
left join products
    on
        order_lines.product_code = products.product_code
        and {{ valid_at('products', 'order_lines.order_date') }}
left join customers
    on
        order_lines.customer_name = customers.customer_name
        and {{ valid_at('customers', 'order_lines.order_date') }}
left join territories
    on
        order_lines.territory = territories.territory
        and order_lines.country = territories.country
