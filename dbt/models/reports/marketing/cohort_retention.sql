-- A rental at an unknown time belongs to no month.
with rentals as (
    select
        customer_id,
        cast({{ dbt.date_trunc('month', 'rented_on') }} as date) as month
    from {{ ref('fct_rental') }}
    where rented_on is not null
),

first_months as (
    select
        customer_id,
        min(month) as cohort_month
    from rentals
    group by customer_id
),

cohorts as (
    select
        cohort_month,
        count(*) as customers
    from first_months
    group by cohort_month
),

-- Months without rentals have a row too.
last_rental as (
    select max(month) as month
    from rentals
),

months as (
    select distinct dates.month_start as month
    from {{ ref('dim_date') }} as dates
    cross join last_rental
    where dates.month_start <= last_rental.month
),

activity as (
    select
        first_months.cohort_month,
        rentals.month,
        count(distinct rentals.customer_id) as active_customers,
        count(*) as rentals
    from rentals
    inner join first_months on rentals.customer_id = first_months.customer_id
    group by first_months.cohort_month, rentals.month
)

select
    cohorts.cohort_month,
    cast({{ dbt.datediff('cohorts.cohort_month', 'months.month', 'month') }} as integer) as months_since_first,
    months.month,
    cohorts.customers,
    coalesce(activity.active_customers, 0) as active_customers,
    cast(
        {{ rounded("100.0 * coalesce(activity.active_customers, 0) / cohorts.customers", 2) }} as numeric(5, 2)
    ) as retention_pct,
    coalesce(activity.rentals, 0) as rentals
from cohorts
inner join months on cohorts.cohort_month <= months.month
left join activity
    on
        cohorts.cohort_month = activity.cohort_month
        and months.month = activity.month
