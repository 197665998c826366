with sales as (
    select
        staff_id,
        first_name,
        last_name,
        department_name,
        currency_code,
        count(*) as orders,
        sum(units) as units,
        sum(revenue) as revenue
    from {{ ref('totesys_sales_orders') }}
    group by staff_id, first_name, last_name, department_name, currency_code
)

select
    staff_id,
    first_name,
    last_name,
    department_name,
    currency_code,
    cast(orders as bigint) as orders,
    cast(units as bigint) as units,
    cast(revenue as numeric(18, 2)) as revenue,
    cast(rank() over (partition by currency_code order by revenue desc) as integer) as revenue_rank
from sales
