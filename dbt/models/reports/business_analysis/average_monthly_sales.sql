with store_months as (
    select * from {{ ref('revenue_by_month') }}
),

-- Whole months of the company, so that months in which a store has no payments count for its average.
whole_months as (
    select count(*) as months
    from {{ ref('monthly_totals') }}
    where is_complete
),

ranked as (
    select
        *,
        row_number() over (
            partition by store_id
            order by case when is_complete then 0 else 1 end, revenue desc, month asc
        ) as month_rank
    from store_months
),

stores as (
    select
        store_id,
        store_name,
        sum(payments) as payments,
        sum(revenue) as revenue,
        sum(case when is_complete then payments else 0 end) as whole_payments,
        sum(case when is_complete then revenue else 0 end) as whole_revenue,
        max(case when month_rank = 1 and is_complete then month end) as best_month,
        max(case when month_rank = 1 and is_complete then revenue end) as best_month_revenue
    from ranked
    group by store_id, store_name
)

select
    stores.store_id,
    stores.store_name,
    cast(whole_months.months as integer) as months,
    cast(stores.payments as bigint) as payments,
    cast(stores.revenue as numeric(18, 2)) as revenue,
    cast(
        {{ rounded("1.0 * stores.whole_payments / nullif(whole_months.months, 0)", 2) }} as numeric(18, 2)
    ) as average_monthly_payments,
    cast(
        {{ rounded("stores.whole_revenue / nullif(whole_months.months, 0)", 2) }} as numeric(18, 2)
    ) as average_monthly_revenue,
    stores.best_month,
    stores.best_month_revenue
from stores
cross join whole_months
