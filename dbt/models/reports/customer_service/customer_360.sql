with customers as (
    select * from {{ ref('dim_customer') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

segments as (
    select * from {{ ref('customer_segments') }}
),

rentals as (
    select
        customer_id,
        count(*) as rentals,
        min(rented_on) as first_rented_on,
        max(rented_on) as last_rented_on,
        count(case when is_open then 1 end) as open_rentals,
        count(case when is_overdue then 1 end) as overdue_rentals,
        count(case when is_lost then 1 end) as lost_rentals,
        count(case when return_status = 'late' then 1 end) as late_returns,
        count(case when not is_paid then 1 end) as unpaid_rentals
    from {{ ref('fct_rental') }}
    group by customer_id
),

payments as (
    select
        customer_id,
        count(*) as payments,
        sum(amount) as revenue,
        max(paid_on) as last_paid_on
    from {{ ref('fct_payment') }}
    group by customer_id
),

category_places as (
    select
        customer_id,
        category,
        row_number() over (partition by customer_id order by count(*) desc, category asc) as place
    from {{ ref('rental_details') }}
    group by customer_id, category
)

select
    customers.customer_id,
    customers.customer_name,
    -- No other report shows contact data.
    customers.email,
    customers.phone,
    customers.address,
    customers.postal_code,
    customers.city,
    customers.country,
    customers.store_id,
    stores.store_name,
    customers.is_active,
    segments.segment,
    rentals.first_rented_on,
    rentals.last_rented_on,
    coalesce(rentals.rentals, 0) as rentals,
    coalesce(rentals.open_rentals, 0) as open_rentals,
    coalesce(rentals.overdue_rentals, 0) as overdue_rentals,
    coalesce(rentals.lost_rentals, 0) as lost_rentals,
    coalesce(rentals.late_returns, 0) as late_returns,
    coalesce(rentals.unpaid_rentals, 0) as unpaid_rentals,
    coalesce(payments.payments, 0) as payments,
    cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
    payments.last_paid_on,
    category_places.category as favourite_category
from customers
left join stores on customers.store_id = stores.store_id
left join segments on customers.customer_id = segments.customer_id
left join rentals on customers.customer_id = rentals.customer_id
left join payments on customers.customer_id = payments.customer_id
left join category_places
    on
        customers.customer_id = category_places.customer_id
        and category_places.place = 1
