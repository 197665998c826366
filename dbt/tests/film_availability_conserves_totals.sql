{{ config(meta={
    "description": "Every film, every copy and every copy that is out",
    "dagster": {"ref": {"name": "film_availability"}}
}) }}

with report as (
    select
        count(distinct film_id) as films,
        coalesce(sum(copies), 0) as copies,
        coalesce(sum(on_loan), 0) as on_loan,
        coalesce(sum(available), 0) as available
    from {{ ref('film_availability') }}
),

films as (
    select count(*) as films
    from {{ ref('stg_dvd_rental__film') }}
),

copies as (
    select count(*) as copies
    from {{ ref('stg_dvd_rental__inventory') }}
),

loans as (
    select count(*) as on_loan
    from {{ ref('stg_dvd_rental__rental') }}
    where returned_at is null
)

select
    report.*,
    films.films as expected_films,
    copies.copies as expected_copies,
    loans.on_loan as expected_on_loan
from report
cross join films
cross join copies
cross join loans
where
    report.films != films.films
    or report.copies != copies.copies
    or report.on_loan != loans.on_loan
    or report.available != copies.copies - loans.on_loan
