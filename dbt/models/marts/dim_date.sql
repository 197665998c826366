with events as (
    select * from {{ ref('data_as_of') }}
),

-- One hundred years, an upper bound for the range of the events.
numbers as (
    {{ dbt.generate_series(36525) }}
),

offsets as (
    select cast(generated_number as integer) - 1 as days_on
    from numbers
),

-- A copy rented at the end of a year may be due in the next year.
horizon as (
    select
        first_event_at,
        greatest({{ dbt.dateadd('day', 31, 'last_event_at') }}, as_of) as last_day
    from events
),

whole_years as (
    select
        cast({{ dbt.date_trunc('year', 'first_event_at') }} as date) as first_day,
        cast({{ dbt.date_trunc('year', 'last_day') }} as date) as last_year
    from horizon
),

century as (
    select
        cast({{ dbt.dateadd('day', 'offsets.days_on', 'whole_years.first_day') }} as date) as date_day,
        {{ dbt.dateadd('year', 1, 'whole_years.last_year') }} as end_day
    from whole_years
    cross join offsets
),

days as (
    select date_day
    from century
    where date_day < end_day
),

truncated as (
    select
        date_day,
        cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week_start,
        cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month_start,
        cast({{ dbt.date_trunc('quarter', 'date_day') }} as date) as quarter_start,
        cast({{ dbt.date_trunc('year', 'date_day') }} as date) as year_start,
        cast(extract(year from date_day) as integer) as calendar_year,
        cast(extract(quarter from date_day) as integer) as quarter_of_year,
        cast(extract(month from date_day) as integer) as month_of_year,
        cast(extract(day from date_day) as integer) as day_of_month
    from days
),

-- Computed from the Monday of the week, because `extract` numbers weekdays differently in each warehouse.
weekdays as (
    select
        *,
        cast({{ dbt.datediff('week_start', 'date_day', 'day') }} + 1 as integer) as day_of_week
    from truncated
)

select
    {{ date_key('date_day') }} as date_key,
    date_day,
    week_start,
    month_start,
    quarter_start,
    year_start,
    calendar_year,
    quarter_of_year,
    month_of_year,
    split_part(
        'January February March April May June July August September October November December',
        ' ',
        month_of_year
    ) as month_name,
    day_of_month,
    day_of_week,
    split_part('Monday Tuesday Wednesday Thursday Friday Saturday Sunday', ' ', day_of_week) as day_name,
    day_of_week in (6, 7) as is_weekend
from weekdays

union all

select
    {{ unknown_date_key() }} as date_key,
    cast(null as date) as date_day,
    cast(null as date) as week_start,
    cast(null as date) as month_start,
    cast(null as date) as quarter_start,
    cast(null as date) as year_start,
    cast(null as integer) as calendar_year,
    cast(null as integer) as quarter_of_year,
    cast(null as integer) as month_of_year,
    'Unknown' as month_name,
    cast(null as integer) as day_of_month,
    cast(null as integer) as day_of_week,
    'Unknown' as day_name,
    cast(null as boolean) as is_weekend
