with as_of as (
    select
        as_of,
        cast({{ dbt.dateadd('month', -1, dbt.date_trunc('month', 'as_of')) }} as date) as month_start,
        cast({{ dbt.date_trunc('month', 'as_of') }} as date) as next_start,
        cast({{ dbt.dateadd('month', -2, dbt.date_trunc('month', 'as_of')) }} as date) as previous_start,
        {{ dbt.dateadd('day', -365, 'as_of') }} as year_start
    from {{ ref('data_as_of') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

whole_months as (
    select * from {{ ref('monthly_totals') }}
    where is_complete
),

-- Whether the last two calendar months before the running one are whole.
coverage as (
    select
        as_of.month_start,
        max(case when whole_months.month = as_of.month_start then 1 else 0 end) as has_month,
        max(case when whole_months.month = as_of.previous_start then 1 else 0 end) as has_previous
    from as_of
    left join whole_months on whole_months.month in (as_of.month_start, as_of.previous_start)
    group by as_of.month_start
),

payments as (
    select
        payments.store_id,
        sum(
            case
                when payments.paid_on >= as_of.month_start and payments.paid_on < as_of.next_start
                    then payments.amount
            end
        ) as month_revenue,
        sum(
            case
                when payments.paid_on >= as_of.previous_start and payments.paid_on < as_of.month_start
                    then payments.amount
            end
        ) as previous_revenue,
        sum(
            case
                when payments.paid_at > as_of.year_start and payments.paid_at <= as_of.as_of
                    then payments.amount
            end
        ) as year_revenue
    from {{ ref('fct_payment') }} as payments
    cross join as_of
    group by payments.store_id
),

rentals as (
    select
        rentals.store_id,
        count(
            case when rentals.rented_on >= as_of.month_start and rentals.rented_on < as_of.next_start then 1 end
        ) as month_rentals,
        count(
            distinct case
                when rentals.rented_on >= as_of.month_start and rentals.rented_on < as_of.next_start
                    then rentals.customer_id
            end
        ) as month_customers,
        count(case when rentals.returned_at > as_of.year_start then 1 end) as year_returns,
        count(
            case when rentals.returned_at > as_of.year_start and rentals.is_late then 1 end
        ) as year_late_returns,
        count(case when rentals.is_overdue and not rentals.is_lost then 1 end) as overdue_copies
    from {{ ref('fct_rental') }} as rentals
    cross join as_of
    group by rentals.store_id
),

copies as (
    select
        store_id,
        sum(copies) as copies,
        sum(lost_copies) as lost_copies,
        sum(unavailable_days) as unavailable_days,
        sum(window_days) as window_days
    from {{ ref('stock_unavailability') }}
    group by store_id
)

select
    stores.store_id,
    stores.store_name,
    stores.city,
    stores.country,
    stores.manager_name,
    coverage.month_start as month,
    case when coverage.has_month = 1 then cast(coalesce(payments.month_revenue, 0) as numeric(18, 2)) end
        as month_revenue,
    case when coverage.has_previous = 1 then cast(coalesce(payments.previous_revenue, 0) as numeric(18, 2)) end
        as previous_month_revenue,
    case
        when coverage.has_month = 1 and coverage.has_previous = 1
            then {{ growth_pct("coalesce(payments.month_revenue, 0)", "payments.previous_revenue") }}
    end as growth_pct,
    coalesce(rentals.month_rentals, 0) as month_rentals,
    coalesce(rentals.month_customers, 0) as month_customers,
    cast(coalesce(copies.copies, 0) as bigint) as copies,
    cast(coalesce(copies.lost_copies, 0) as bigint) as lost_copies,
    coalesce(rentals.overdue_copies, 0) as overdue_copies,
    cast({{ rounded("100.0 * copies.unavailable_days / nullif(copies.window_days, 0)", 2) }} as numeric(5, 2))
        as unavailable_pct,
    cast(
        {{ rounded("100.0 * rentals.year_late_returns / nullif(rentals.year_returns, 0)", 2) }} as numeric(5, 2)
    )
        as late_rate_pct,
    cast(coalesce(payments.year_revenue, 0) as numeric(18, 2)) as year_revenue,
    cast({{ rounded(
        "coalesce(payments.year_revenue, 0) / nullif(copies.copies - copies.lost_copies, 0)", 2
    ) }} as numeric(18, 2)) as year_revenue_per_copy
from stores
cross join coverage
left join payments on stores.store_id = payments.store_id
left join rentals on stores.store_id = rentals.store_id
left join copies on stores.store_id = copies.store_id
