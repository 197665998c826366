-- A payment at an unknown time belongs to no day.
with payments as (
    select * from {{ ref('fct_payment') }}
    where paid_on is not null
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

dates as (
    select * from {{ ref('dim_date') }}
),

daily_payments as (
    select
        paid_on,
        count(*) as payments,
        sum(amount) as revenue
    from payments
    group by paid_on
),

-- Up to the data timestamp, or the last payment if that is later.
span as (
    select
        min(daily_payments.paid_on) as first_day,
        max(
            case
                when daily_payments.paid_on > cast(as_of.as_of as date) then daily_payments.paid_on
                else cast(as_of.as_of as date)
            end
        ) as last_day
    from daily_payments
    cross join as_of
),

-- Days without payments have a row; otherwise the moving averages would skip them.
days as (
    select
        dates.date_day,
        coalesce(daily_payments.payments, 0) as payments,
        cast(coalesce(daily_payments.revenue, 0) as numeric(18, 2)) as revenue
    from dates
    cross join span
    left join daily_payments on dates.date_day = daily_payments.paid_on
    where dates.date_day between span.first_day and span.last_day
),

windows as (
    select
        date_day,
        payments,
        revenue,
        sum(revenue) over (order by date_day rows between 6 preceding and current row) as revenue_7_days,
        count(*) over (order by date_day rows between 6 preceding and current row) as days_of_7,
        sum(revenue) over (order by date_day rows between 27 preceding and current row) as revenue_28_days,
        count(*) over (order by date_day rows between 27 preceding and current row) as days_of_28,
        lag(revenue, 7) over (order by date_day) as revenue_week_before,
        sum(revenue) over (order by date_day rows between unbounded preceding and current row) as running_total
    from days
)

select
    windows.date_day,
    as_of.as_of >= {{ dbt.dateadd('day', 1, 'windows.date_day') }} as is_complete,
    windows.payments,
    windows.revenue,
    cast({{ rounded("windows.revenue_7_days / windows.days_of_7", 2) }} as numeric(18, 2)) as average_7_days,
    cast({{ rounded("windows.revenue_28_days / windows.days_of_28", 2) }} as numeric(18, 2)) as average_28_days,
    windows.revenue_week_before,
    -- The running day is not compared with a whole one.
    case
        when as_of.as_of >= {{ dbt.dateadd('day', 1, 'windows.date_day') }}
            then {{ growth_pct("windows.revenue", "windows.revenue_week_before") }}
    end as growth_pct,
    cast(windows.running_total as numeric(18, 2)) as running_total
from windows
cross join as_of
