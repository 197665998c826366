with sales as (
    select * from {{ ref('fct_sales') }}
),

territories as (
    select * from {{ ref('dim_sales_territory') }}
),

monthly as (
    select
        cast({{ dbt.date_trunc('month', 'sales.order_date') }} as date) as month,
        territories.territory,
        count(distinct sales.order_number) as orders,
        sum(case when sales.is_cancelled then 0 else sales.quantity end) as pieces,
        sum(case when sales.is_cancelled then 0 else sales.amount end) as revenue,
        sum(case when sales.is_cancelled then sales.amount else 0 end) as cancelled_amount
    from sales
    inner join territories on sales.territory_key = territories.territory_key
    group by 1, 2
)

select
    month,
    territory,
    orders,
    cast(pieces as bigint) as pieces,
    cast(revenue as numeric(18, 2)) as revenue,
    cast(cancelled_amount as numeric(18, 2)) as cancelled_amount
from monthly
