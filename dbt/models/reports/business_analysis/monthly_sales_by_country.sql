-- A payment at an unknown time belongs to no month.
with payments as (
    select * from {{ ref('fct_payment') }}
    where paid_on is not null
),

stores as (
    select * from {{ ref('dim_store') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

monthly as (
    select
        cast({{ dbt.date_trunc('month', 'payments.paid_on') }} as date) as month,
        -- A payment without a rental has no store.
        coalesce(payments.store_id, -1) as store_id,
        customers.country_id,
        customers.country,
        count(*) as payments,
        sum(payments.amount) as revenue
    from payments
    left join customers on payments.customer_id = customers.customer_id
    group by 1, 2, 3, 4
)

select
    monthly.month,
    monthly.store_id,
    coalesce(stores.store_name, 'Unknown') as store_name,
    monthly.country_id,
    monthly.country,
    monthly.payments,
    cast(monthly.revenue as numeric(18, 2)) as revenue
from monthly
left join stores on monthly.store_id = stores.store_id
