-- A payment at an unknown time belongs to no month.
with payments as (
    select * from {{ ref('fct_payment') }}
    where paid_on is not null
),

stores as (
    select * from {{ ref('dim_store') }}
),

all_months as (
    select * from {{ ref('monthly_totals') }}
),

monthly as (
    select
        cast({{ dbt.date_trunc('month', 'paid_on') }} as date) as month,
        -- A payment without a rental has no store.
        coalesce(store_id, -1) as store_id,
        sum(amount) as revenue,
        count(*) as payments,
        count(distinct customer_id) as paying_customers
    from payments
    group by 1, 2
)

select
    monthly.month,
    all_months.is_complete,
    monthly.store_id,
    coalesce(stores.store_name, 'Unknown') as store_name,
    cast(monthly.revenue as numeric(18, 2)) as revenue,
    monthly.payments,
    monthly.paying_customers,
    cast({{ rounded("monthly.revenue / monthly.payments", 2) }} as numeric(18, 2)) as average_payment
from monthly
left join all_months on monthly.month = all_months.month
left join stores on monthly.store_id = stores.store_id
