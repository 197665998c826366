with store_months as (
    select * from {{ ref('revenue_by_month') }}
),

-- Months of the whole company, so that months in which a store has no payments count for its average.
span as (
    select {{ dbt.datediff('min(month)', 'max(month)', 'month') }} + 1 as months
    from store_months
),

ranked as (
    select
        *,
        row_number() over (partition by store_id order by revenue desc, month asc) as month_rank
    from store_months
),

stores as (
    select
        store_id,
        store_name,
        sum(payments) as payments,
        sum(revenue) as revenue,
        max(case when month_rank = 1 then month end) as best_month,
        max(case when month_rank = 1 then revenue end) as best_month_revenue
    from ranked
    group by store_id, store_name
)

select
    stores.store_id,
    stores.store_name,
    cast(span.months as integer) as months,
    cast(stores.payments as bigint) as payments,
    cast(stores.revenue as numeric(18, 2)) as revenue,
    cast({{ rounded("1.0 * stores.payments / span.months", 2) }} as numeric(18, 2)) as average_monthly_payments,
    cast({{ rounded("stores.revenue / span.months", 2) }} as numeric(18, 2)) as average_monthly_revenue,
    stores.best_month,
    stores.best_month_revenue
from stores
cross join span
