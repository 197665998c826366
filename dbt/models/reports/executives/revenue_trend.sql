with months as (
    select * from {{ ref('monthly_totals') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

forecasts as (
    select * from {{ ref('revenue_forecasts') }}
),

accuracies as (
    select * from {{ ref('forecast_accuracy') }}
    where is_used
),

actual_months as (
    select
        *,
        sum(revenue) over (order by month rows between 2 preceding and current row) as revenue_3_months,
        sum(case when is_complete then 1 else 0 end) over (
            order by month rows between 2 preceding and current row
        ) as whole_months_of_3,
        lag(case when is_complete then revenue end) over (order by month) as revenue_month_before,
        sum(revenue) over (order by month rows between unbounded preceding and current row) as running_total
    from months
),

months_ahead as (
    select 0 as months_on
    union all
    select 1 as months_on
    union all
    select 2 as months_on
    union all
    select 3 as months_on
),

-- The running month, which exists whenever there are payments, and the three months after it.
next_months as (
    select cast({{ dbt.dateadd('month', 'months_ahead.months_on', 'last_month.month') }} as date) as month
    from (select max(month) as month from months) as last_month
    cross join months_ahead
    where last_month.month is not null
),

all_months as (
    select month from months
    union distinct
    select month from next_months
),

-- A whole month has the forecast that was made at the end of the month before; later ones, the latest forecast.
-- The best method at that time is the seasonal one if it had the history that it needs.
ranked_forecasts as (
    select
        *,
        row_number() over (
            partition by month
            order by known_months desc, case when method = 'seasonal' then 0 else 1 end
        ) as place
    from forecasts
    where method in ('seasonal', 'last month')
),

running_months as (
    select
        actual_months.month,
        cast(actual_months.month as timestamp) as starts_at,
        {{ dbt.dateadd('month', 1, 'actual_months.month') }} as ends_at,
        as_of.as_of
    from actual_months
    cross join as_of
    where actual_months.status = 'running'
),

-- Share of the running month that is still to come.
remainders as (
    select
        month,
        least(
            cast({{ dbt.datediff('as_of', 'ends_at', 'second') }} as double)
            / {{ dbt.datediff('starts_at', 'ends_at', 'second') }},
            1
        ) as share
    from running_months
),

-- What the running month has booked is certain; only the rest of it is forecast.
month_forecasts as (
    select
        all_months.month,
        coalesce(actual_months.status, 'forecast') as status,
        ranked_forecasts.method,
        ranked_forecasts.known_months,
        case when actual_months.status = 'running' then actual_months.revenue else 0 end as booked,
        coalesce(remainders.share, 1) * ranked_forecasts.forecast_revenue as expected,
        case
            when coalesce(actual_months.status, 'running') = 'running'
                then accuracies.interval_pct
        end as interval_pct
    from all_months
    left join actual_months on all_months.month = actual_months.month
    left join remainders on all_months.month = remainders.month
    left join ranked_forecasts
        on
            all_months.month = ranked_forecasts.month
            and ranked_forecasts.place = 1
    left join accuracies
        on
            ranked_forecasts.method = accuracies.method
            and ranked_forecasts.horizon = accuracies.horizon
),

rounded_forecasts as (
    select
        month,
        status,
        coalesce(method, 'none') as method,
        coalesce(known_months, 0) as known_months,
        cast({{ rounded("booked + expected", 2) }} as numeric(18, 2)) as forecast_revenue,
        -- Revenue is not expected to be below zero.
        case
            when interval_pct > 100 then cast(booked as numeric(18, 2))
            else cast(
                {{ rounded("booked + expected * (1 - interval_pct / 100)", 2) }} as numeric(18, 2)
            )
        end as forecast_low,
        cast(
            {{ rounded("booked + expected * (1 + interval_pct / 100)", 2) }} as numeric(18, 2)
        ) as forecast_high
    from month_forecasts
)

select
    rounded_forecasts.month,
    rounded_forecasts.status,
    actual_months.payments,
    actual_months.revenue,
    case
        when actual_months.whole_months_of_3 = 3
            then cast({{ rounded("actual_months.revenue_3_months / 3", 2) }} as numeric(18, 2))
    end as average_3_months,
    case
        when actual_months.is_complete
            then {{ growth_pct("actual_months.revenue", "actual_months.revenue_month_before") }}
    end as growth_pct,
    cast(actual_months.running_total as numeric(18, 2)) as running_total,
    rounded_forecasts.forecast_revenue,
    rounded_forecasts.forecast_low,
    rounded_forecasts.forecast_high,
    rounded_forecasts.method as forecast_method,
    cast(rounded_forecasts.known_months as integer) as forecast_months,
    case
        when actual_months.is_complete
            then cast(actual_months.revenue - rounded_forecasts.forecast_revenue as numeric(18, 2))
    end as forecast_error
from rounded_forecasts
left join actual_months on rounded_forecasts.month = actual_months.month
