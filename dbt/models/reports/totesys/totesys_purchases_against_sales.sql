with orders as (
    select
        created_date,
        currency_code,
        revenue as sales,
        0 as purchases
    from {{ ref('totesys_sales_orders') }}
    union all
    select
        created_date,
        currency_code,
        0 as sales,
        amount as purchases
    from {{ ref('totesys_purchase_orders') }}
)

select
    cast({{ dbt.date_trunc('month', 'created_date') }} as date) as month,
    currency_code,
    cast(sum(sales) as numeric(18, 2)) as sales,
    cast(sum(purchases) as numeric(18, 2)) as purchases,
    cast(sum(sales) - sum(purchases) as numeric(18, 2)) as difference
from orders
group by 1, 2
