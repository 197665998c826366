{{ config(meta={
    "description": "Revenue by category equals the source's view sales_by_film_category, computed from marts",
    "dagster": {"ref": {"name": "genre_performance"}}
}) }}

-- The view sums the payments of rentals by the category of the film.
with expected as (
    select
        films.category,
        sum(payments.amount) as total_sales
    from {{ ref('fct_payment') }} as payments
    inner join {{ ref('dim_copy') }} as copies on payments.inventory_id = copies.inventory_id
    inner join {{ ref('dim_film') }} as films on copies.film_id = films.film_id
    group by films.category
),

report as (
    select * from {{ ref('genre_performance') }}
    where payments > 0
)

select
    coalesce(expected.category, report.category) as category,
    report.revenue,
    expected.total_sales
from expected
full outer join report on expected.category = report.category
where
    expected.category is null
    or report.category is null
    or report.revenue != expected.total_sales
