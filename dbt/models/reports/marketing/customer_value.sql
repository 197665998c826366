with customers as (
    select * from {{ ref('dim_customer') }}
),

rentals as (
    select
        customer_id,
        count(*) as rentals,
        min(rented_on) as first_rented_on,
        max(rented_on) as last_rented_on
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

customer_sums as (
    select
        customers.customer_id,
        customers.customer_name,
        coalesce(rentals.rentals, 0) as rentals,
        coalesce(payments.payments, 0) as payments,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
        rentals.first_rented_on,
        rentals.last_rented_on
    from customers
    left join rentals on customers.customer_id = rentals.customer_id
    left join payments on customers.customer_id = payments.customer_id
),

running as (
    select
        *,
        row_number() over (order by revenue desc, customer_id asc) as revenue_rank,
        sum(revenue) over (
            order by revenue desc, customer_id asc
            rows between unbounded preceding and current row
        ) as running_revenue,
        sum(revenue) over () as total_revenue
    from customer_sums
)

select
    customer_id,
    customer_name,
    rentals,
    payments,
    revenue,
    cast({{ rounded("revenue / nullif(rentals, 0)", 2) }} as numeric(18, 2)) as revenue_per_rental,
    first_rented_on,
    last_rented_on,
    cast(revenue_rank as integer) as revenue_rank,
    cast({{ rounded(
        "100.0 * running_revenue"
        ~ " / nullif(total_revenue, 0)", 2
    ) }} as numeric(5, 2)) as running_share_pct
from running
