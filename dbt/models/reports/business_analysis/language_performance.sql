with films as (
    select * from {{ ref('dim_film') }}
),

rentals as (
    select
        film_id,
        count(*) as rentals
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

languages as (
    select
        coalesce(films.language, 'Unknown') as language,
        count(*) as films,
        cast(sum(films.copies) as bigint) as copies,
        cast(sum(coalesce(rentals.rentals, 0)) as bigint) as rentals,
        cast(sum(coalesce(payments.payments, 0)) as bigint) as payments,
        sum(coalesce(payments.revenue, 0)) as revenue
    from films
    left join rentals on films.film_id = rentals.film_id
    left join payments on films.film_id = payments.film_id
    group by coalesce(films.language, 'Unknown')
)

select
    language,
    films,
    copies,
    rentals,
    payments,
    cast(revenue as numeric(18, 2)) as revenue,
    cast({{ rounded("revenue / nullif(rentals, 0)", 2) }} as numeric(18, 2)) as revenue_per_rental,
    cast({{ rounded("1.0 * rentals / nullif(copies, 0)", 2) }} as numeric(18, 2)) as rentals_per_copy,
    cast(row_number() over (order by rentals desc, language asc) as integer) as rental_rank,
    cast(row_number() over (order by revenue desc, language asc) as integer) as revenue_rank
from languages
