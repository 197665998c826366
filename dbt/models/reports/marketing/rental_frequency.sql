with customer_months as (
    select
        customer_id,
        cast({{ dbt.date_trunc('month', 'rented_on') }} as date) as month,
        count(*) as rentals,
        min(min(rented_on)) over () as first_day
    from {{ ref('fct_rental') }}
    group by customer_id, cast({{ dbt.date_trunc('month', 'rented_on') }} as date)
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

first_months as (
    select
        customer_id,
        min(month) as first_month
    from customer_months
    group by customer_id
),

span as (
    select
        min(month) as first_month,
        max(month) as last_month,
        min(first_day) as first_day
    from customer_months
),

-- Months without rentals have a row too: everyone rented nothing.
months as (
    select distinct
        dates.month_start as month,
        span.first_day
    from {{ ref('dim_date') }} as dates
    cross join span
    where dates.month_start between span.first_month and span.last_month
),

frequencies as (
    select
        months.month,
        months.first_day,
        coalesce(customer_months.rentals, 0) as rentals_in_month,
        count(*) as customers
    from months
    inner join first_months on months.month >= first_months.first_month
    left join customer_months
        on
            months.month = customer_months.month
            and first_months.customer_id = customer_months.customer_id
    group by months.month, months.first_day, coalesce(customer_months.rentals, 0)
)

select
    frequencies.month,
    {{ is_whole_period(
        "frequencies.month", dbt.dateadd('month', 1, 'frequencies.month'),
        "frequencies.first_day", "as_of.as_of"
    ) }} as is_complete,
    frequencies.rentals_in_month,
    frequencies.customers,
    cast(
        {{ rounded(
            "100.0 * frequencies.customers"
            ~ " / sum(frequencies.customers) over (partition by frequencies.month)", 2
        ) }} as numeric(5, 2)
    ) as share_pct
from frequencies
cross join as_of
