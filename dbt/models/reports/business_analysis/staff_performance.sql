with staff as (
    select * from {{ ref('dim_staff') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

rentals as (
    select
        staff_id,
        count(*) as rentals,
        count(distinct customer_id) as customers_served
    from {{ ref('fct_rental') }}
    group by staff_id
),

-- By the staff member who took the payment, who for many rentals did not hand out the copy.
payments as (
    select
        staff_id,
        count(*) as payments,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by staff_id
)

select
    staff.staff_id,
    staff.staff_name,
    staff.store_id,
    stores.store_name,
    staff.is_active,
    staff.is_manager,
    coalesce(rentals.rentals, 0) as rentals,
    coalesce(rentals.customers_served, 0) as customers_served,
    coalesce(payments.payments, 0) as payments,
    cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
    cast({{ rounded("payments.revenue / payments.payments", 2) }} as numeric(18, 2)) as average_payment,
    cast(
        {{ rounded("100.0 * payments.revenue / nullif(sum(payments.revenue) over (), 0)", 2) }} as numeric(5, 2)
    ) as revenue_share_pct
from staff
left join stores on staff.store_id = stores.store_id
left join rentals on staff.staff_id = rentals.staff_id
left join payments on staff.staff_id = payments.staff_id
