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
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    group by film_id
),

film_sums as (
    select
        films.film_id,
        films.title,
        films.category,
        films.replacement_cost,
        films.copies,
        cast(films.copies * films.replacement_cost as numeric(18, 2)) as copies_cost,
        coalesce(rentals.rentals, 0) as rentals,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue
    from films
    left join rentals on films.film_id = rentals.film_id
    left join payments on films.film_id = payments.film_id
),

returns as (
    select
        *,
        cast({{ rounded("100.0 * revenue / nullif(copies_cost, 0)", 2) }} as numeric(18, 2)) as return_pct
    from film_sums
)

select
    film_id,
    title,
    category,
    copies,
    replacement_cost,
    copies_cost,
    rentals,
    revenue,
    cast(revenue - copies_cost as numeric(18, 2)) as surplus,
    return_pct,
    -- A film without copies has no return and is ranked last.
    cast(row_number() over (order by coalesce(return_pct, -1) desc, film_id asc) as integer) as return_rank
from returns
