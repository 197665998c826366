with days as (
    select * from {{ ref('revenue_by_day') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

weeks as (
    select
        cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from days
    group by 1
),

windows as (
    select
        week,
        payments,
        revenue,
        sum(revenue) over (order by week rows between 3 preceding and current row) as revenue_4_weeks,
        count(*) over (order by week rows between 3 preceding and current row) as weeks_of_4,
        lag(revenue) over (order by week) as revenue_week_before,
        sum(revenue) over (order by week rows between unbounded preceding and current row) as running_total
    from weeks
)

select
    windows.week,
    as_of.as_of >= {{ dbt.dateadd('day', 7, 'windows.week') }} as is_complete,
    windows.payments,
    windows.revenue,
    cast({{ rounded("windows.revenue_4_weeks / windows.weeks_of_4", 2) }} as numeric(18, 2)) as average_4_weeks,
    -- An incomplete week is not compared with a complete one.
    case
        when as_of.as_of >= {{ dbt.dateadd('day', 7, 'windows.week') }}
            then cast(
                {{ rounded(
                    "100.0 * (windows.revenue - windows.revenue_week_before)"
                    ~ " / nullif(windows.revenue_week_before, 0)", 2
                ) }} as numeric(18, 2)
            )
    end as growth_pct,
    cast(windows.running_total as numeric(18, 2)) as running_total
from windows
cross join as_of
