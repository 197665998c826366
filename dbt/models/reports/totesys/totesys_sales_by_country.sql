with sales as (
    select
        country,
        currency_code,
        count(*) as orders,
        sum(units) as units,
        sum(revenue) as revenue
    from {{ ref('totesys_sales_orders') }}
    group by country, currency_code
)

select
    country,
    currency_code,
    cast(orders as bigint) as orders,
    cast(units as bigint) as units,
    cast(revenue as numeric(18, 2)) as revenue
from sales
