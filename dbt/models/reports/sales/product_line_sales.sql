with sales as (
    select * from {{ ref('fct_sales') }}
    where not is_cancelled
),

products as (
    select * from {{ ref('dim_sales_product') }}
),

yearly as (
    select
        cast(extract(year from sales.order_date) as integer) as calendar_year,
        products.product_line,
        count(distinct sales.product_code) as products_sold,
        sum(sales.quantity) as pieces,
        sum(sales.amount) as revenue
    from sales
    inner join products on sales.product_version_key = products.product_version_key
    group by 1, 2
),

with_total as (
    select
        *,
        sum(revenue) over (partition by calendar_year) as revenue_of_year
    from yearly
)

select
    calendar_year,
    product_line,
    products_sold,
    cast(pieces as bigint) as pieces,
    cast(revenue as numeric(18, 2)) as revenue,
    cast({{ rounded("100 * revenue / nullif(revenue_of_year, 0)", 1) }} as numeric(5, 1)) as revenue_percent
from with_total
