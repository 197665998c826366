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
        max(rented_at) as last_rented_at
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
        rentals.last_rented_at,
        {{ dbt.datediff('rentals.last_rented_at', 'as_of.as_of', 'day') }} as recency_days,
        coalesce(rentals.rentals, 0) as frequency,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as monetary
    from customers
    cross join as_of
    left join rentals on customers.customer_id = rentals.customer_id
    left join payments on customers.customer_id = payments.customer_id
),

-- The best is first; equals share a place, so that equal customers never get different scores.
places as (
    select
        *,
        count(*) over () as customers,
        -- By the time, not the day: on a busy day a large part of the customers come, and are told apart.
        rank() over (
            order by case when last_rented_at is null then 1 else 0 end, last_rented_at desc
        ) as recency_place,
        rank() over (order by frequency desc) as frequency_place,
        rank() over (order by monetary desc) as monetary_place
    from measures
),

-- Fifths: the first fifth of the places scores 5, the last 1. Compared by multiplication: nothing is rounded.
scores as (
    select
        {% for measure, nothing in [
            ("recency", "last_rented_at is null"),
            ("frequency", "frequency = 0"),
            ("monetary", "monetary <= 0"),
        ] %}
            case
                when {{ nothing }} then 1
                when 5 * ({{ measure }}_place - 1) < customers then 5
                when 5 * ({{ measure }}_place - 1) < 2 * customers then 4
                when 5 * ({{ measure }}_place - 1) < 3 * customers then 3
                when 5 * ({{ measure }}_place - 1) < 4 * customers then 2
                else 1
            end as {{ measure }}_score,
        {% endfor %}
        customer_id,
        recency_days,
        frequency,
        monetary
    from places
),

-- The rule of the segments: how recent (rows) against how valuable, frequency and spending together (columns).
--                  value 8 to 10     value 6 to 7          value 2 to 5
-- recency 4, 5     Champions         Potential loyalists   Promising
-- recency 3        Loyal             Needs attention       About to sleep
-- recency 1, 2     At risk           Dormant               Dormant
segments as (
    select
        *,
        case
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
    segment,
    cast(recency_days as integer) as recency_days,
    frequency,
    monetary,
    cast(recency_score as integer) as recency_score,
    cast(frequency_score as integer) as frequency_score,
    cast(monetary_score as integer) as monetary_score
from segments
