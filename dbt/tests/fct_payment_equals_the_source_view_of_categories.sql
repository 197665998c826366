{{ config(meta={
    "description": "The revenue of each category equals that of the source's view sales_by_film_category",
    "dagster": {"ref": {"name": "fct_payment"}}
}) }}

-- The view sums the payments of rentals by each category of the film. It counts a film with several categories
-- several times, the facts once: the two are compared only if each film has one category.
with source_films as (
    select
        inventory.film_id,
        sum(payments.amount) as total_sales
    from {{ ref('stg_dvd_rental__payment') }} as payments
    inner join {{ ref('stg_dvd_rental__rental') }} as rentals on payments.rental_id = rentals.rental_id
    inner join {{ ref('stg_dvd_rental__inventory') }} as inventory
        on rentals.inventory_id = inventory.inventory_id
    group by inventory.film_id
),

source_view as (
    select
        categories.category,
        sum(source_films.total_sales) as total_sales
    from source_films
    inner join {{ ref('stg_dvd_rental__film_category') }} as film_categories
        on source_films.film_id = film_categories.film_id
    inner join {{ ref('stg_dvd_rental__category') }} as categories
        on film_categories.category_id = categories.category_id
    group by categories.category
),

films_of_several_categories as (
    select film_id
    from {{ ref('stg_dvd_rental__film_category') }}
    group by film_id
    having count(*) > 1
),

facts as (
    select
        films.category,
        sum(payments.amount) as revenue
    from {{ ref('fct_payment') }} as payments
    inner join {{ ref('dim_film') }} as films on payments.film_id = films.film_id
    where films.category != 'Unknown'
    group by films.category
)

select
    coalesce(source_view.category, facts.category) as category,
    facts.revenue,
    source_view.total_sales
from source_view
full outer join facts on source_view.category = facts.category
where
    not exists (select 1 from films_of_several_categories)
    and (
        source_view.category is null
        or facts.category is null
        or facts.revenue != source_view.total_sales
    )
