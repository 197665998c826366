with films as (
    select * from {{ ref('dim_film') }}
),

-- More features than any disc has.
series as (
    {{ dbt.generate_series(20) }}
),

numbers as (
    select cast(generated_number as integer) as feature_number
    from series
),

feature_lists as (
    select
        film_id,
        coalesce(nullif(special_features, ''), 'None') as special_features
    from films
),

-- A feature that is listed twice counts once.
film_features as (
    select distinct
        feature_lists.film_id,
        trim(split_part(feature_lists.special_features, ',', numbers.feature_number)) as special_feature
    from feature_lists
    cross join numbers
    where trim(split_part(feature_lists.special_features, ',', numbers.feature_number)) != ''
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

features as (
    select
        film_features.special_feature,
        count(*) as films,
        cast(sum(films.copies) as bigint) as copies,
        cast(sum(coalesce(rentals.rentals, 0)) as bigint) as rentals,
        cast(sum(coalesce(payments.payments, 0)) as bigint) as payments,
        sum(coalesce(payments.revenue, 0)) as revenue
    from film_features
    inner join films on film_features.film_id = films.film_id
    left join rentals on film_features.film_id = rentals.film_id
    left join payments on film_features.film_id = payments.film_id
    group by film_features.special_feature
)

select
    special_feature,
    films,
    copies,
    rentals,
    payments,
    cast(revenue as numeric(18, 2)) as revenue,
    cast({{ rounded("revenue / nullif(rentals, 0)", 2) }} as numeric(18, 2)) as revenue_per_rental,
    cast({{ rounded("1.0 * rentals / nullif(copies, 0)", 2) }} as numeric(18, 2)) as rentals_per_copy,
    cast(row_number() over (order by rentals desc, special_feature asc) as integer) as rental_rank,
    cast(row_number() over (order by revenue desc, special_feature asc) as integer) as revenue_rank
from features
