with forecasts as (
    select * from {{ ref('revenue_forecasts') }}
),

-- The method in use: `seasonal` once its two years of history exist.
used as (
    select
        case
            when count(case when method = 'seasonal' then 1 end) > 0 then 'seasonal'
            else 'last month'
        end as method
    from forecasts
),

-- Methods are compared on the same months: those for which the method in use has a forecast.
tested as (
    select
        forecasts.horizon,
        forecasts.month
    from forecasts
    inner join used on forecasts.method = used.method
    where forecasts.revenue is not null
),

errors as (
    select
        forecasts.method,
        forecasts.horizon,
        count(*) as months,
        sum(forecasts.revenue) as revenue,
        sum(abs(forecasts.forecast_error)) as absolute_error,
        sum(-forecasts.forecast_error) as excess
    from forecasts
    inner join tested
        on
            forecasts.horizon = tested.horizon
            and forecasts.month = tested.month
    group by forecasts.method, forecasts.horizon
),

-- The interval holds 80 % of the errors of the backtest, in proportion to the forecast: with n errors, it
-- reaches to the one in place 0.8 (n + 1) by size. Less than six errors say too little.
ranked_errors as (
    select
        forecasts.method,
        forecasts.horizon,
        abs(forecasts.forecast_error) / nullif(forecasts.forecast_revenue, 0) as relative_error,
        row_number() over (
            partition by forecasts.method, forecasts.horizon
            order by
                abs(forecasts.forecast_error) / nullif(forecasts.forecast_revenue, 0) asc,
                forecasts.month asc
        ) as place
    from forecasts
    inner join tested
        on
            forecasts.horizon = tested.horizon
            and forecasts.month = tested.month
),

intervals as (
    select
        errors.method,
        errors.horizon,
        max(ranked_errors.relative_error) as relative_error
    from errors
    inner join ranked_errors
        on
            errors.method = ranked_errors.method
            and errors.horizon = ranked_errors.horizon
            and ranked_errors.place = ceil((errors.months + 1) * 0.8)
    where errors.months >= 6
    group by errors.method, errors.horizon
),

accuracies as (
    select
        errors.*,
        {{ rounded("100.0 * errors.absolute_error / nullif(errors.revenue, 0)", 2) }} as error_pct,
        {{ rounded("100.0 * intervals.relative_error", 2) }} as interval_pct
    from errors
    left join intervals
        on
            errors.method = intervals.method
            and errors.horizon = intervals.horizon
),

-- The naive method with the smallest error among those tested on all of the months.
naive as (
    select
        accuracies.horizon,
        min(accuracies.error_pct) as error_pct
    from accuracies
    inner join accuracies as used_accuracies
        on
            accuracies.horizon = used_accuracies.horizon
            and accuracies.months = used_accuracies.months
    inner join used on used_accuracies.method = used.method
    where accuracies.method != 'seasonal'
    group by accuracies.horizon
)

select
    accuracies.method,
    accuracies.horizon,
    accuracies.months,
    cast(
        {{ rounded("accuracies.absolute_error / accuracies.months", 2) }} as numeric(18, 2)
    ) as mean_absolute_error,
    cast(accuracies.error_pct as numeric(18, 2)) as error_pct,
    cast(
        {{ rounded("100.0 * accuracies.excess / nullif(accuracies.revenue, 0)", 2) }} as numeric(18, 2)
    ) as bias_pct,
    cast(accuracies.interval_pct as numeric(18, 2)) as interval_pct,
    cast(
        row_number() over (
            partition by accuracies.horizon order by accuracies.error_pct asc, accuracies.method asc
        ) as integer
    ) as error_rank,
    accuracies.method = used.method as is_used,
    case
        when accuracies.method = used.method and used.method = 'seasonal' and accuracies.months >= 6
            then accuracies.error_pct <= naive.error_pct
    end as is_as_good_as_naive,
    case
        when used.method != 'seasonal'
            then 'History is too short for a season (24 whole months): the last month is the forecast.'
        when accuracies.months < 6 then 'Less than 6 months tested: too few to judge.'
        else 'Tested on ' || cast(accuracies.months as varchar) || ' months.'
    end as note
from accuracies
cross join used
left join naive on accuracies.horizon = naive.horizon
