with customers as (
    select * from {{ ref('dim_customer') }}
),

customer_values as (
    select * from {{ ref('customer_value') }}
),

cities as (
    select
        customers.city_id,
        customers.city,
        customers.country_id,
        customers.country,
        count(*) as customers,
        count(case when customers.is_active then 1 end) as active_customers,
        cast(sum(customer_values.rentals) as bigint) as rentals,
        cast(sum(customer_values.payments) as bigint) as payments,
        cast(sum(customer_values.revenue) as numeric(18, 2)) as revenue
    from customers
    inner join customer_values on customers.customer_id = customer_values.customer_id
    group by customers.city_id, customers.city, customers.country_id, customers.country
)

select
    city_id,
    city,
    country_id,
    country,
    customers,
    active_customers,
    rentals,
    payments,
    revenue,
    cast({{ rounded("revenue / customers", 2) }} as numeric(18, 2)) as revenue_per_customer,
    cast(row_number() over (order by revenue desc, city_id asc) as integer) as revenue_rank
from cities
