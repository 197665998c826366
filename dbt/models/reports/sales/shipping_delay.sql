with sales as (
    select * from {{ ref('fct_sales') }}
    where not is_cancelled
),

territories as (
    select * from {{ ref('dim_sales_territory') }}
),

orders as (
    select
        sales.order_number,
        territories.territory,
        cast({{ dbt.date_trunc('month', 'min(sales.order_date)') }} as date) as month,
        -- An order is shipped when its last line is; null while one of them is not.
        case when count(*) = count(sales.days_to_ship) then max(sales.days_to_ship) end as days_to_ship
    from sales
    inner join territories on sales.territory_key = territories.territory_key
    group by sales.order_number, territories.territory
),

monthly as (
    select
        month,
        territory,
        count(*) as orders,
        count(days_to_ship) as shipped_orders,
        sum(days_to_ship) as days,
        max(days_to_ship) as longest_days,
        sum(case when days_to_ship > 7 then 1 else 0 end) as late_orders
    from orders
    group by month, territory
)

select
    month,
    territory,
    orders,
    shipped_orders,
    orders - shipped_orders as open_orders,
    cast(late_orders as bigint) as late_orders,
    cast({{ rounded("1.0 * days / nullif(shipped_orders, 0)", 1) }} as numeric(7, 1)) as average_days,
    cast(longest_days as integer) as longest_days
from monthly
