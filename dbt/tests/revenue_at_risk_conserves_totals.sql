{{ config(meta={
    "description": "The sums equal all unpaid rentals and copies on loan, at the price at the time of rental",
    "dagster": {"ref": {"name": "revenue_at_risk"}}
}) }}

with report as (
    select
        coalesce(sum(unpaid_rentals + not_due_rentals), 0) as unpaid_rentals,
        coalesce(sum(unpaid_amount + not_due_amount), 0) as unpaid_amount,
        coalesce(sum(not_due_copies + overdue_copies + lost_copies), 0) as unreturned_copies,
        coalesce(sum(not_due_cost + overdue_cost + lost_cost), 0) as unreturned_cost
    from {{ ref('revenue_at_risk') }}
),

paid_rentals as (
    select distinct rental_id
    from {{ ref('fct_payment') }}
),

expected as (
    select
        count(case when paid_rentals.rental_id is null then 1 end) as unpaid_rentals,
        coalesce(sum(case when paid_rentals.rental_id is null then films.rental_rate end), 0) as unpaid_amount,
        count(case when rentals.is_open then 1 end) as unreturned_copies,
        coalesce(sum(case when rentals.is_open then films.replacement_cost end), 0)
            as unreturned_cost
    from {{ ref('fct_rental') }} as rentals
    left join paid_rentals on rentals.rental_id = paid_rentals.rental_id
    left join {{ ref('dim_film_history') }} as films
        on
            rentals.film_id = films.film_id
            and coalesce(rentals.rented_at >= films.valid_from, true)
            and (films.valid_to is null or rentals.rented_at < films.valid_to)
)

select
    report.*,
    expected.unpaid_rentals as expected_unpaid_rentals,
    expected.unpaid_amount as expected_unpaid_amount,
    expected.unreturned_copies as expected_unreturned_copies,
    expected.unreturned_cost as expected_unreturned_cost
from report
cross join expected
where
    report.unpaid_rentals != expected.unpaid_rentals
    or report.unpaid_amount != expected.unpaid_amount
    or report.unreturned_copies != expected.unreturned_copies
    or report.unreturned_cost != expected.unreturned_cost
