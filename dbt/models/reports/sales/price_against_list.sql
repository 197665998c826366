with sales as (
    select * from {{ ref('fct_sales') }}
    where not is_cancelled
),

current_products as (
    select * from {{ ref('dim_sales_product') }}
    where is_current
),

by_product as (
    select
        product_code,
        count(*) as order_lines,
        sum(case when unit_price < list_price then 1 else 0 end) as lines_below_list,
        sum(amount) as revenue,
        sum(list_amount) as list_revenue
    from sales
    group by product_code
)

select
    by_product.product_code,
    current_products.product_line,
    current_products.list_price as current_list_price,
    by_product.order_lines,
    cast(by_product.lines_below_list as bigint) as lines_below_list,
    cast(by_product.revenue as numeric(18, 2)) as revenue,
    cast(by_product.list_revenue as numeric(18, 2)) as list_revenue,
    cast(
        {{ rounded("100 * (list_revenue - by_product.revenue) / nullif(list_revenue, 0)", 1) }}
        as numeric(7, 1)
    ) as discount_percent
from by_product
inner join current_products on by_product.product_code = current_products.product_code
