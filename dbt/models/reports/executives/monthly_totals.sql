with days as (
    select
        cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month,
        date_day,
        payments,
        revenue,
        min(date_day) over () as first_day
    from {{ ref('revenue_by_day') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

months as (
    select
        month,
        min(first_day) as first_day,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from days
    group by month
)

select
    months.month,
    {{ is_whole_period(
        "months.month", dbt.dateadd('month', 1, 'months.month'), "months.first_day", "as_of.as_of"
    ) }}
        as is_complete,
    case
        when as_of.as_of < {{ dbt.dateadd('month', 1, 'months.month') }} then 'running'
        when months.first_day > months.month then 'partial'
        else 'complete'
    end as status,
    months.payments,
    months.revenue
from months
cross join as_of
