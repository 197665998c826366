{{ config(meta={
    "description": "The rentals listed are exactly the open rentals that were due before the data timestamp",
    "dagster": {"ref": {"name": "overdue_rentals"}}
}) }}

with report as (
    select rental_id
    from {{ ref('overdue_rentals') }}
),

open_rentals as (
    select
        rentals.rental_id,
        {{ dbt.dateadd('day', 'films.rental_duration_days', 'rentals.rented_at') }} as due_at
    from {{ ref('fct_rental') }} as rentals
    left join {{ ref('dim_film_history') }} as films
        on
            rentals.film_id = films.film_id
            and rentals.rented_at >= films.valid_from
            and (films.valid_to is null or rentals.rented_at < films.valid_to)
    where rentals.is_open
),

overdue as (
    select open_rentals.rental_id
    from open_rentals
    cross join {{ ref('data_as_of') }} as as_of
    where open_rentals.due_at < as_of.as_of
)

select
    report.rental_id,
    overdue.rental_id as expected_rental_id
from overdue
full outer join report on overdue.rental_id = report.rental_id
where overdue.rental_id is null or report.rental_id is null
