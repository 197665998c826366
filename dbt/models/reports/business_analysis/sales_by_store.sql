with stores as (
    select * from {{ ref('dim_store') }}
),

rentals as (
    select
        store_id,
        count(*) as rentals,
        count(case when payments = 0 then 1 end) as unpaid_rentals
    from {{ ref('fct_rental') }}
    group by store_id
),

payments as (
    select
        store_id,
        count(*) as payments,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by store_id
),

copies as (
    select
        store_id,
        count(*) as copies
    from {{ ref('dim_copy') }}
    group by store_id
)

select
    stores.store_id,
    stores.store_name,
    stores.city,
    stores.country,
    stores.manager_name,
    coalesce(copies.copies, 0) as copies,
    coalesce(rentals.rentals, 0) as rentals,
    coalesce(rentals.unpaid_rentals, 0) as unpaid_rentals,
    coalesce(payments.payments, 0) as payments,
    cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
    cast(
        {{ rounded("100.0 * payments.revenue / nullif(sum(payments.revenue) over (), 0)", 2) }} as numeric(5, 2)
    ) as revenue_share_pct
from stores
left join rentals on stores.store_id = rentals.store_id
left join payments on stores.store_id = payments.store_id
left join copies on stores.store_id = copies.store_id
