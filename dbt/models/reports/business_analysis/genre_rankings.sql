with as_of as (
    select * from {{ ref('data_as_of') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

film_events as (
    select
        film_id,
        rented_at as event_at,
        1 as rentals,
        0 as payments,
        0 as revenue
    from {{ ref('fct_rental') }}

    union all

    select
        film_id,
        paid_at as event_at,
        0 as rentals,
        1 as payments,
        amount as revenue
    from {{ ref('fct_payment') }}
),

genre_events as (
    select
        coalesce(films.category, 'Unknown') as category,
        film_events.event_at,
        film_events.rentals,
        film_events.payments,
        film_events.revenue
    from film_events
    left join films on film_events.film_id = films.film_id
),

{{ period_sums("genre_events", ["category"]) }}

select
    period_sums.period,
    period_sums.category,
    {{ ranking_columns("period_sums.category") }}
from period_sums
