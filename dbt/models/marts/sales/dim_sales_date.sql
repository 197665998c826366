with order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
    where occurrence = 1
),

range_of_days as (
    select
        cast({{ dbt.date_trunc('year', 'min(order_date)') }} as date) as first_day,
        cast({{ dbt.date_trunc('year', 'max(coalesce(ship_date, order_date))') }} as date) as last_year
    from order_lines
),

-- One hundred years, an upper bound.
numbers as (
    {{ dbt.generate_series(36525) }}
),

offsets as (
    select cast(generated_number as integer) - 1 as days_on
    from numbers
),

century as (
    select
        cast({{ dbt.dateadd('day', 'offsets.days_on', 'range_of_days.first_day') }} as date) as date_day,
        cast({{ dbt.dateadd('year', 1, 'range_of_days.last_year') }} as date) as end_day
    from range_of_days
    cross join offsets
),

days as (
    select date_day
    from century
    where date_day < end_day
)

select
    date_day,
    cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week_start,
    cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month_start,
    cast({{ dbt.date_trunc('quarter', 'date_day') }} as date) as quarter_start,
    cast(extract(year from date_day) as integer) as calendar_year,
    cast(extract(month from date_day) as integer) as month_of_year
from days
