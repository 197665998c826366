with films as (
    select * from {{ ref('stg_dvd_rental__film') }}
),

languages as (
    select * from {{ ref('stg_dvd_rental__language') }}
),

categories as (
    select * from {{ ref('stg_dvd_rental__category') }}
),

-- The source allows several categories per film. Keeping one prevents totals from counting a film twice.
first_categories as (
    select
        film_id,
        min(category_id) as category_id
    from {{ ref('stg_dvd_rental__film_category') }}
    group by film_id
),

casts as (
    select
        film_id,
        count(*) as actors
    from {{ ref('stg_dvd_rental__film_actor') }}
    group by film_id
),

stock as (
    select
        film_id,
        count(*) as copies
    from {{ ref('stg_dvd_rental__inventory') }}
    group by film_id
)

select
    films.film_id,
    films.title,
    films.description,
    films.release_year,
    languages.language,
    categories.category_id,
    coalesce(categories.category, 'Unknown') as category,
    films.rating,
    films.length_minutes,
    films.special_features,
    films.rental_duration_days,
    films.rental_rate,
    films.replacement_cost,
    coalesce(casts.actors, 0) as actors,
    coalesce(stock.copies, 0) as copies
from films
left join languages on films.language_id = languages.language_id
left join first_categories on films.film_id = first_categories.film_id
left join categories on first_categories.category_id = categories.category_id
left join casts on films.film_id = casts.film_id
left join stock on films.film_id = stock.film_id
