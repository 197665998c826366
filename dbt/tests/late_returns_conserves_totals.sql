{{ config(meta={
    "description": "The sums of late, on-time and open rentals equal those of the facts",
    "dagster": {"ref": {"name": "late_returns"}}
}) }}

with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(late), 0) as late,
        coalesce(sum(on_time), 0) as on_time,
        coalesce(sum(open), 0) as open
    from {{ ref('late_returns') }}
),

rentals as (
    select
        rentals.returned_at,
        rentals.is_open,
        {{ dbt.dateadd('day', 'films.rental_duration_days', 'rentals.rented_at') }} as due_at
    from {{ ref('fct_rental') }} as rentals
    left join {{ ref('dim_film_history') }} as films
        on
            rentals.film_id = films.film_id
            and rentals.rented_at >= films.valid_from
            and (films.valid_to is null or rentals.rented_at < films.valid_to)
),

expected as (
    select
        count(*) as rentals,
        count(case when returned_at > due_at then 1 end) as late,
        count(case when returned_at <= due_at then 1 end) as on_time,
        count(case when is_open then 1 end) as open
    from rentals
)

select
    report.*,
    expected.late as expected_late,
    expected.on_time as expected_on_time,
    expected.open as expected_open
from report
cross join expected
where
    report.rentals != expected.rentals
    or report.late != expected.late
    or report.on_time != expected.on_time
    or report.open != expected.open
