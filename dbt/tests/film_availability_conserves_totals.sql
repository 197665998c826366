{{ config(meta={
    "description": "Each film and store has a row, and the sums of copies and copies on loan equal the totals",
    "dagster": {"ref": {"name": "film_availability"}}
}) }}

with report as (
    select
        count(*) as film_stores,
        coalesce(sum(copies), 0) as copies,
        coalesce(sum(on_loan), 0) as on_loan,
        coalesce(sum(available), 0) as available
    from {{ ref('film_availability') }}
),

film_stores as (
    select count(*) as film_stores
    from {{ ref('dim_film') }}
    cross join {{ ref('dim_store') }}
),

copies as (
    select count(*) as copies
    from {{ ref('dim_copy') }}
),

loans as (
    select count(*) as on_loan
    from {{ ref('fct_rental') }}
    where is_open
)

select
    report.*,
    film_stores.film_stores as expected_film_stores,
    copies.copies as expected_copies,
    loans.on_loan as expected_on_loan
from report
cross join film_stores
cross join copies
cross join loans
where
    report.film_stores != film_stores.film_stores
    or report.copies != copies.copies
    or report.on_loan != loans.on_loan
    or report.available != copies.copies - loans.on_loan
