with days as (
    select
        cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week,
        payments,
        revenue,
        min(date_day) over () as first_day
    from {{ ref('revenue_by_day') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

weeks as (
    select
        week,
        min(first_day) as first_day,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from days
    group by week
),

judged_weeks as (
    select
        weeks.week,
        weeks.payments,
        weeks.revenue,
        {{ is_whole_period(
            "weeks.week", dbt.dateadd('day', 7, 'weeks.week'), "weeks.first_day", "as_of.as_of"
        ) }}
            as is_complete
    from weeks
    cross join as_of
),

windows as (
    select
        week,
        is_complete,
        payments,
        revenue,
        sum(revenue) over (order by week rows between 3 preceding and current row) as revenue_4_weeks,
        count(*) over (order by week rows between 3 preceding and current row) as weeks_of_4,
        lag(case when is_complete then revenue end) over (order by week) as revenue_week_before,
        sum(revenue) over (order by week rows between unbounded preceding and current row) as running_total
    from judged_weeks
)

select
    week,
    is_complete,
    payments,
    revenue,
    cast({{ rounded("revenue_4_weeks / weeks_of_4", 2) }} as numeric(18, 2)) as average_4_weeks,
    -- A part of a week is not compared with a whole one.
    case when is_complete then {{ growth_pct("revenue", "revenue_week_before") }} end as growth_pct,
    cast(running_total as numeric(18, 2)) as running_total
from windows
