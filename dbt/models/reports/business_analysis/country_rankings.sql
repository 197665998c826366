with as_of as (
    select * from {{ ref('data_as_of') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

-- A payment counts for the customer who paid, who for some payments is not the one who rented.
customer_events as (
    select
        customer_id,
        rented_at as event_at,
        1 as rentals,
        0 as payments,
        0 as revenue
    from {{ ref('fct_rental') }}

    union all

    select
        customer_id,
        paid_at as event_at,
        0 as rentals,
        1 as payments,
        amount as revenue
    from {{ ref('fct_payment') }}
),

country_events as (
    select
        coalesce(customers.country_id, -1) as country_id,
        coalesce(customers.country, 'Unknown') as country,
        customer_events.event_at,
        customer_events.rentals,
        customer_events.payments,
        customer_events.revenue
    from customer_events
    left join customers on customer_events.customer_id = customers.customer_id
),

{{ period_sums("country_events", ["country_id", "country"]) }}

select
    period_sums.period,
    period_sums.country_id,
    period_sums.country,
    {{ ranking_columns("period_sums.country_id") }}
from period_sums
