with customers as (
    select * from {{ ref('dim_customer') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

rentals as (
    select
        customer_id,
        count(*) as rentals,
        max(rented_on) as last_rented_on,
        max(case when is_lost then cast(due_at as date) end) as lost_copy_due_on
    from {{ ref('fct_rental') }}
    group by customer_id
),

payments as (
    select
        customer_id,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by customer_id
),

measures as (
    select
        customers.customer_id,
        customers.customer_name,
        rentals.last_rented_on,
        rentals.lost_copy_due_on,
        max(rentals.last_rented_on) over () as last_day,
        {{ dbt.datediff('rentals.last_rented_on', 'as_of.as_of', 'day') }} as recency_days,
        coalesce(rentals.rentals, 0) as frequency,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as monetary
    from customers
    cross join as_of
    left join rentals on customers.customer_id = rentals.customer_id
    left join payments on customers.customer_id = payments.customer_id
),

-- Rank 1 is the best. Ties share a rank, so that equal customers get equal scores.
ranked as (
    select
        *,
        count(*) over () as customers,
        -- By day: whether one customer came an hour after another says nothing about them.
        rank() over (
            order by case when last_rented_on is null then 1 else 0 end, last_rented_on desc
        ) as recency_rank,
        rank() over (order by frequency desc) as frequency_rank,
        rank() over (order by monetary desc) as monetary_rank
    from measures
),

-- The first fifth of the ranks scores 5, the last fifth 1. Multiplying instead of dividing avoids rounding.
scores as (
    select
        {% for measure, condition_for_none in [
            ("recency", "last_rented_on is null"),
            ("frequency", "frequency = 0"),
            ("monetary", "monetary <= 0"),
        ] %}
            case
                when {{ condition_for_none }} then 1
                when 5 * ({{ measure }}_rank - 1) < customers then 5
                when 5 * ({{ measure }}_rank - 1) < 2 * customers then 4
                when 5 * ({{ measure }}_rank - 1) < 3 * customers then 3
                when 5 * ({{ measure }}_rank - 1) < 4 * customers then 2
                else 1
            end as {{ measure }}_score,
        {% endfor %}
        customer_id,
        customer_name,
        last_rented_on,
        lost_copy_due_on,
        last_day,
        recency_days,
        frequency,
        monetary
    from ranked
),

-- Segments by recency score (rows) and by value, the sum of frequency and monetary score (columns).
--                  value 8 to 10     value 6 to 7          value 2 to 5
-- recency 4, 5     Champions         Potential loyalists   Promising
-- recency 3        Loyal             Needs attention       About to sleep
-- recency 1, 2     At risk           Dormant               Dormant
-- Who never rented, and who is lost, is in none of these. Days are counted to the last day with any rental: if
-- the data of all customers end early, they are not all lost.
segments as (
    select
        *,
        case
            when frequency = 0 then 'Never rented'
            when {{ dbt.datediff('last_rented_on', 'last_day', 'day') }} > {{ var('customer_lost_after_days') }}
                then 'Lost'
            when last_rented_on <= lost_copy_due_on then 'Lost'
            when recency_score >= 4 and frequency_score + monetary_score >= 8 then 'Champions'
            when recency_score >= 4 and frequency_score + monetary_score >= 6 then 'Potential loyalists'
            when recency_score >= 4 then 'Promising'
            when recency_score = 3 and frequency_score + monetary_score >= 8 then 'Loyal'
            when recency_score = 3 and frequency_score + monetary_score >= 6 then 'Needs attention'
            when recency_score = 3 then 'About to sleep'
            when frequency_score + monetary_score >= 8 then 'At risk'
            else 'Dormant'
        end as segment
    from scores
)

select
    customer_id,
    customer_name,
    segment,
    cast(recency_days as integer) as recency_days,
    frequency,
    monetary,
    cast(recency_score as integer) as recency_score,
    cast(frequency_score as integer) as frequency_score,
    cast(monetary_score as integer) as monetary_score
from segments
