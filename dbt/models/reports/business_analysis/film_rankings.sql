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

known_events as (
    select
        coalesce(film_id, -1) as film_id,
        event_at,
        rentals,
        payments,
        revenue
    from film_events
),

{{ period_sums("known_events", ["film_id"]) }}

select
    period_sums.period,
    period_sums.film_id,
    coalesce(films.title, 'Unknown') as title,
    coalesce(films.category, 'Unknown') as category,
    {{ ranking_columns("period_sums.film_id") }}
from period_sums
left join films on period_sums.film_id = films.film_id
