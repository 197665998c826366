{#
  Each whole month is an origin, from which the next four months are forecast with nothing but the whole
  months up to it, so that the forecasts of past months are a backtest. `origin` is the number of whole months
  known.
#}
{%- set horizons = range(1, 5) %}

with months as (
    select
        month,
        revenue,
        row_number() over (order by month) as month_number
    from {{ ref('monthly_totals') }}
    where is_complete
),

horizons as (
    {% for horizon in horizons -%}
        select {{ horizon }} as horizon
        {{ "union all" if not loop.last }}
    {% endfor %}
),

targets as (
    select
        months.month_number as origin,
        horizons.horizon,
        cast({{ dbt.dateadd('month', 'horizons.horizon', 'months.month') }} as date) as month
    from months
    cross join horizons
),

-- The last whole years before each origin: `years_back` is 0 for the latest, `place` 0 to 11 within the year.
history as (
    select
        origins.month_number as origin,
        cast(floor((origins.month_number - months.month_number) / 12.0) as integer) as years_back,
        11 - mod(origins.month_number - months.month_number, 12) as place,
        cast(months.revenue as double) as revenue
    from months as origins
    inner join months
        on
            origins.month_number >= months.month_number
            and origins.month_number - months.month_number < 12 * floor(origins.month_number / 12.0)
    -- A season that was seen once may be chance: in the backtest, one year lost to the last month.
    where origins.month_number >= 24
),

years as (
    select
        origin,
        years_back,
        sum(revenue) / 12 as mean_revenue
    from history
    group by origin, years_back
),

-- Growth from the year before last to the last one, per month. It is bounded, because one odd year is no trend.
trends as (
    select
        origin,
        max(case when years_back = 0 then mean_revenue end) as mean_revenue,
        power(
            least(
                greatest(
                    coalesce(
                        max(case when years_back = 0 then mean_revenue end)
                        / nullif(max(case when years_back = 1 then mean_revenue end), 0),
                        1
                    ),
                    0.7
                ),
                1.4
            ),
            1 / 12.0
        ) as growth
    from years
    group by origin
),

-- A month's index is its revenue as a multiple of what the mean and the growth of its year give.
indexes as (
    select
        history.origin,
        history.place,
        avg(
            history.revenue / nullif(years.mean_revenue * power(trends.growth, history.place - 5.5), 0)
        ) as seasonal_index
    from history
    inner join years
        on
            history.origin = years.origin
            and history.years_back = years.years_back
    inner join trends on history.origin = trends.origin
    group by history.origin, history.place
),

seasonal_forecasts as (
    select
        targets.origin,
        targets.horizon,
        targets.month,
        trends.mean_revenue * power(trends.growth, 5.5 + targets.horizon) * indexes.seasonal_index
            as forecast_revenue
    from targets
    inner join trends on targets.origin = trends.origin
    inner join indexes
        on
            targets.origin = indexes.origin
            and indexes.place = targets.horizon - 1
),

averages as (
    select
        month_number as origin,
        revenue as last_revenue,
        case
            when month_number >= 3
                then sum(revenue) over (order by month_number rows between 2 preceding and current row) / 3.0
        end as average_revenue
    from months
),

forecasts as (
    select
        'seasonal' as method,
        origin,
        horizon,
        month,
        forecast_revenue
    from seasonal_forecasts

    union all

    select
        'last month' as method,
        targets.origin,
        targets.horizon,
        targets.month,
        cast(averages.last_revenue as double) as forecast_revenue
    from targets
    inner join averages on targets.origin = averages.origin

    union all

    select
        'moving average' as method,
        targets.origin,
        targets.horizon,
        targets.month,
        cast(averages.average_revenue as double) as forecast_revenue
    from targets
    inner join averages on targets.origin = averages.origin

    union all

    select
        'same month last year' as method,
        targets.origin,
        targets.horizon,
        targets.month,
        cast(months.revenue as double) as forecast_revenue
    from targets
    inner join months on targets.origin + targets.horizon - 12 = months.month_number
),

rounded_forecasts as (
    select
        method,
        origin,
        horizon,
        month,
        cast({{ rounded("forecast_revenue", 2) }} as numeric(18, 2)) as forecast_revenue
    from forecasts
    where forecast_revenue is not null
)

select
    rounded_forecasts.method,
    rounded_forecasts.horizon,
    rounded_forecasts.month,
    cast(rounded_forecasts.origin as integer) as known_months,
    rounded_forecasts.forecast_revenue,
    months.revenue,
    cast(months.revenue - rounded_forecasts.forecast_revenue as numeric(18, 2)) as forecast_error
from rounded_forecasts
left join months on rounded_forecasts.month = months.month
