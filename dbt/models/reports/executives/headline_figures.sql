{%- set grains = ["week", "month", "quarter", "year"] -%}
{%- set figures = [
    ("revenue", "dollars", "payments"),
    ("payments", "count", "payments"),
    ("average_payment", "dollars", "payments"),
    ("rentals", "count", "rentals"),
    ("renting_customers", "count", "rentals"),
    ("new_customers", "count", "rentals"),
    ("late_rate_pct", "percent", "rentals"),
] -%}
with as_of as (
    select * from {{ ref('data_as_of') }}
),

rentals as (
    select * from {{ ref('fct_rental') }}
),

payments as (
    select * from {{ ref('fct_payment') }}
),

-- The last whole period of each grain is the one before the running one.
last_periods as (
    {% for grain in grains -%}
        select
            {{ loop.index }} as grain_order,
            '{{ grain }}' as grain,
            cast({{ dbt.dateadd(grain, -1, dbt.date_trunc(grain, 'as_of')) }} as date) as period_start,
            cast({{ dbt.date_trunc(grain, 'as_of') }} as date) as next_start,
            cast({{ dbt.dateadd(grain, -2, dbt.date_trunc(grain, 'as_of')) }} as date) as previous_start
        from as_of
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- Each period, and the one before it.
periods as (
    select
        grain,
        period_start as first_day,
        next_start as next_day,
        1 as is_last
    from last_periods

    union all

    select
        grain,
        previous_start as first_day,
        period_start as next_day,
        0 as is_last
    from last_periods
),

first_days as (
    select
        (select min(paid_on) from payments) as first_paid_on,
        (select min(rented_on) from rentals) as first_rented_on
),

first_rentals as (
    select
        customer_id,
        min(rented_on) as first_rented_on
    from rentals
    group by customer_id
),

payment_sums as (
    select
        periods.grain,
        periods.is_last,
        cast(coalesce(sum(payments.amount), 0) as numeric(18, 2)) as revenue,
        count(payments.payment_id) as payments
    from periods
    left join payments on periods.first_day <= payments.paid_on and periods.next_day > payments.paid_on
    group by periods.grain, periods.is_last
),

rental_sums as (
    select
        periods.grain,
        periods.is_last,
        count(rentals.rental_id) as rentals,
        count(distinct rentals.customer_id) as renting_customers
    from periods
    left join rentals on periods.first_day <= rentals.rented_on and periods.next_day > rentals.rented_on
    group by periods.grain, periods.is_last
),

new_customer_sums as (
    select
        periods.grain,
        periods.is_last,
        count(first_rentals.customer_id) as new_customers
    from periods
    left join first_rentals
        on
            periods.first_day <= first_rentals.first_rented_on
            and periods.next_day > first_rentals.first_rented_on
    group by periods.grain, periods.is_last
),

return_sums as (
    select
        periods.grain,
        periods.is_last,
        count(rentals.rental_id) as returned,
        count(case when rentals.is_late then 1 end) as late
    from periods
    left join rentals on periods.first_day <= rentals.returned_on and periods.next_day > rentals.returned_on
    group by periods.grain, periods.is_last
),

sums as (
    select
        payment_sums.grain,
        payment_sums.is_last,
        payment_sums.revenue,
        payment_sums.payments,
        {{ rounded("payment_sums.revenue / nullif(payment_sums.payments, 0)", 2) }} as average_payment,
        rental_sums.rentals,
        rental_sums.renting_customers,
        new_customer_sums.new_customers,
        {{ rounded("100.0 * return_sums.late / nullif(return_sums.returned, 0)", 2) }} as late_rate_pct
    from payment_sums
    inner join rental_sums
        on payment_sums.grain = rental_sums.grain and payment_sums.is_last = rental_sums.is_last
    inner join new_customer_sums
        on payment_sums.grain = new_customer_sums.grain and payment_sums.is_last = new_customer_sums.is_last
    inner join return_sums
        on payment_sums.grain = return_sums.grain and payment_sums.is_last = return_sums.is_last
),

figures as (
    {% for figure, unit, fact in figures -%}
        select
            sums.grain,
            {{ loop.index }} as figure_order,
            '{{ figure }}' as figure,
            '{{ unit }}' as unit,
            first_days.{{ "first_paid_on" if fact == "payments" else "first_rented_on" }} as first_day,
            max(case when sums.is_last = 1 then cast(sums.{{ figure }} as numeric(18, 2)) end) as figure_value,
            max(case when sums.is_last = 0 then cast(sums.{{ figure }} as numeric(18, 2)) end) as previous_value
        from sums
        cross join first_days
        group by sums.grain, first_days.{{ "first_paid_on" if fact == "payments" else "first_rented_on" }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

compared_figures as (
    select
        last_periods.grain_order,
        figures.grain,
        figures.figure_order,
        figures.figure,
        figures.unit,
        figures.figure_value,
        case
            when figures.first_day <= last_periods.previous_start
                then figures.previous_value
        end as previous_value,
        last_periods.period_start,
        last_periods.next_start,
        last_periods.previous_start
    from figures
    inner join last_periods on figures.grain = last_periods.grain
    -- A period in which the data begin is not whole.
    where figures.first_day <= last_periods.period_start
)

select
    grain,
    figure,
    cast(grain_order as integer) as grain_order,
    cast(figure_order as integer) as figure_order,
    unit,
    figure_value,
    previous_value,
    cast(figure_value - previous_value as numeric(18, 2)) as change_value,
    -- A share changes by percentage points, not by percents of a percent.
    case when unit != 'percent' then {{ growth_pct("figure_value", "previous_value") }} end as change_pct,
    period_start,
    cast({{ dbt.dateadd('day', -1, 'next_start') }} as date) as period_end,
    previous_start
from compared_figures
