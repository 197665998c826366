with sales as (
    select * from {{ ref('fct_sales') }}
),

months_with_orders as (
    select distinct
        customer_name,
        cast({{ dbt.date_trunc('month', 'order_date') }} as date) as month
    from sales
),

neighbours as (
    select
        customer_name,
        month,
        lag(month) over (partition by customer_name order by month) as previous_month,
        lead(month) over (partition by customer_name order by month) as next_month
    from months_with_orders
),

-- A customer without an order for six months is lost in the sixth, and regained with the next order.
events as (
    select
        month,
        1 as is_active,
        case when previous_month is null then 1 else 0 end as is_gained,
        case
            when previous_month < {{ dbt.dateadd('month', -6, 'month') }} then 1
            else 0
        end as is_regained,
        0 as is_lost
    from neighbours

    union all

    select
        cast({{ dbt.dateadd('month', 6, 'month') }} as date) as month,
        0 as is_active,
        0 as is_gained,
        0 as is_regained,
        1 as is_lost
    from neighbours
    where next_month is null or next_month > {{ dbt.dateadd('month', 6, 'month') }}
),

last_month as (
    select max(month) as month
    from months_with_orders
)

select
    events.month,
    cast(sum(events.is_active) as bigint) as active_customers,
    cast(sum(events.is_gained) as bigint) as gained_customers,
    cast(sum(events.is_regained) as bigint) as regained_customers,
    cast(sum(events.is_lost) as bigint) as lost_customers
from events
inner join last_month on events.month <= last_month.month
group by events.month
