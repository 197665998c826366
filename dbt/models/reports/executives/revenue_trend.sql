with days as (
    select * from {{ ref('revenue_by_day') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

month_days as (
    select
        cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month,
        payments,
        revenue
    from days
),

months as (
    select
        month,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from month_days
    group by month
),

actual_months as (
    select
        months.month,
        case
            when as_of.as_of >= {{ dbt.dateadd('month', 1, 'months.month') }} then 'complete'
            else 'running'
        end as status,
        months.payments,
        months.revenue,
        sum(months.revenue) over (order by months.month rows between 2 preceding and current row)
            as revenue_3_months,
        count(*) over (order by months.month rows between 2 preceding and current row) as months_of_3,
        lag(months.revenue) over (order by months.month) as revenue_month_before,
        sum(months.revenue) over (order by months.month rows between unbounded preceding and current row)
            as running_total
    from months
    cross join as_of
),

last_month as (
    select max(month) as month
    from months
),

months_ahead as (
    select 1 as months_on
    union all
    select 2 as months_on
    union all
    select 3 as months_on
),

next_months as (
    select cast({{ dbt.dateadd('month', 'months_ahead.months_on', 'last_month.month') }} as date) as month
    from last_month
    cross join months_ahead
    where last_month.month is not null
),

all_months as (
    select month from actual_months
    union all
    select month from next_months
),

-- The forecast of a month is the average revenue of the last three complete months before it.
earlier_months as (
    select
        all_months.month,
        actual_months.revenue,
        row_number() over (partition by all_months.month order by actual_months.month desc) as months_back
    from all_months
    inner join actual_months
        on
            all_months.month > actual_months.month
            and actual_months.status = 'complete'
),

forecasts as (
    select
        month,
        count(*) as forecast_months,
        cast({{ rounded("sum(revenue) / count(*)", 2) }} as numeric(18, 2)) as forecast_revenue
    from earlier_months
    where months_back <= 3
    group by month
)

select
    all_months.month,
    coalesce(actual_months.status, 'forecast') as status,
    actual_months.payments,
    actual_months.revenue,
    cast(
        {{ rounded("actual_months.revenue_3_months / actual_months.months_of_3", 2) }} as numeric(18, 2)
    ) as average_3_months,
    -- An incomplete month is not compared with a complete one.
    case
        when actual_months.status = 'complete'
            then cast(
                {{ rounded(
                    "100.0 * (actual_months.revenue - actual_months.revenue_month_before)"
                    ~ " / nullif(actual_months.revenue_month_before, 0)", 2
                ) }} as numeric(18, 2)
            )
    end as growth_pct,
    cast(actual_months.running_total as numeric(18, 2)) as running_total,
    forecasts.forecast_revenue,
    cast(coalesce(forecasts.forecast_months, 0) as integer) as forecast_months,
    case
        when actual_months.status = 'complete'
            then cast(actual_months.revenue - forecasts.forecast_revenue as numeric(18, 2))
    end as forecast_error
from all_months
left join actual_months on all_months.month = actual_months.month
left join forecasts on all_months.month = forecasts.month
