with films as (
    select * from {{ ref('dim_film') }}
),

rentals as (
    select
        film_id,
        count(*) as rentals,
        max(rented_at) as last_rented_at
    from {{ ref('fct_rental') }}
    group by film_id
),

payments as (
    select
        film_id,
        count(*) as payments,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by film_id
),

film_sales as (
    select
        films.film_id,
        films.title,
        films.category,
        films.rating,
        films.copies,
        coalesce(rentals.rentals, 0) as rentals,
        coalesce(payments.payments, 0) as payments,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
        rentals.last_rented_at
    from films
    left join rentals on films.film_id = rentals.film_id
    left join payments on films.film_id = payments.film_id
)

select
    film_id,
    title,
    category,
    rating,
    copies,
    rentals,
    payments,
    revenue,
    last_rented_at,
    -- Ties go to the lower id, so that ranks are deterministic.
    cast(row_number() over (order by rentals desc, film_id asc) as integer) as rental_rank,
    cast(row_number() over (order by revenue desc, film_id asc) as integer) as revenue_rank
from film_sales
