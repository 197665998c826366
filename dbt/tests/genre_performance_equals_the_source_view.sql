{{ config(meta={
    "description": "Each category sells what the source's own view sales_by_film_category says",
    "dagster": {"ref": {"name": "genre_performance"}}
}) }}

-- The view: payments of rentals, by each category of the film. It counts a film of several categories several
-- times, the report once: the two are comparable while every film has one, as the data of the source has it.
with source_view as (
    select
        categories.category,
        sum(payments.amount) as total_sales
    from {{ ref('stg_dvd_rental__payment') }} as payments
    inner join {{ ref('stg_dvd_rental__rental') }} as rentals on payments.rental_id = rentals.rental_id
    inner join {{ ref('stg_dvd_rental__inventory') }} as inventory
        on rentals.inventory_id = inventory.inventory_id
    inner join {{ ref('stg_dvd_rental__film_category') }} as film_categories
        on inventory.film_id = film_categories.film_id
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

report as (
    select * from {{ ref('genre_performance') }}
    where payments > 0 and category != 'Unknown'
)

select
    coalesce(source_view.category, report.category) as category,
    report.revenue,
    source_view.total_sales
from source_view
full outer join report on source_view.category = report.category
where
    not exists (select 1 from films_of_several_categories)
    and (
        source_view.category is null
        or report.category is null
        or report.revenue != source_view.total_sales
    )
