with customers as (
    select * from {{ ref('dim_customer') }}
),

rentals as (
    select
        customer_id,
        count(*) as rentals
    from {{ ref('fct_rental') }}
    group by customer_id
),

-- By the customer who paid, who for some payments is not the one who rented.
payments as (
    select
        customer_id,
        count(*) as payments,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by customer_id
),

countries as (
    select
        customers.country_id,
        customers.country,
        count(*) as customers,
        count(case when customers.is_active then 1 end) as active_customers,
        cast(sum(coalesce(rentals.rentals, 0)) as bigint) as rentals,
        cast(sum(coalesce(payments.payments, 0)) as bigint) as payments,
        sum(coalesce(payments.revenue, 0)) as revenue
    from customers
    left join rentals on customers.customer_id = rentals.customer_id
    left join payments on customers.customer_id = payments.customer_id
    group by customers.country_id, customers.country
)

select
    country_id,
    country,
    customers,
    active_customers,
    rentals,
    payments,
    cast(revenue as numeric(18, 2)) as revenue,
    cast({{ rounded("revenue / customers", 2) }} as numeric(18, 2)) as revenue_per_customer,
    cast(row_number() over (order by revenue desc, country_id asc) as integer) as revenue_rank
from countries
