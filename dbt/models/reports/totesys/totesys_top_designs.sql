with sales as (
    select
        design_name,
        currency_code,
        count(*) as orders,
        sum(units) as units,
        sum(revenue) as revenue
    from {{ ref('totesys_sales_orders') }}
    group by design_name, currency_code
)

select
    design_name,
    currency_code,
    cast(orders as bigint) as orders,
    cast(units as bigint) as units,
    cast(revenue as numeric(18, 2)) as revenue,
    cast(rank() over (partition by currency_code order by revenue desc) as integer) as revenue_rank
from sales
