with rentals as (
    select * from {{ ref('fct_rental') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

-- By identifiers: the names join the sums, not all rentals.
store_sums as (
    select
        store_id,
        film_id,
        count(*) as rentals,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from rentals
    group by store_id, film_id
)

select
    store_sums.store_id,
    stores.store_name,
    store_sums.film_id,
    films.title,
    films.category,
    coalesce(films.rating, 'Unknown') as rating,
    store_sums.rentals,
    store_sums.payments,
    store_sums.revenue,
    cast(
        row_number() over (
            partition by store_sums.store_id order by store_sums.rentals desc, store_sums.film_id asc
        ) as integer
    ) as rental_rank,
    cast(
        row_number() over (
            partition by store_sums.store_id order by store_sums.revenue desc, store_sums.film_id asc
        ) as integer
    ) as revenue_rank
from store_sums
left join stores on store_sums.store_id = stores.store_id
left join films on store_sums.film_id = films.film_id
