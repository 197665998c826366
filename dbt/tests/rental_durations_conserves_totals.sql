{{ config(meta={
    "description": "The rentals sum to all returned rentals whose times are known",
    "dagster": {"ref": {"name": "rental_durations"}}
}) }}

with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(on_time + late), 0) as on_time_or_late
    from {{ ref('rental_durations') }}
),

returned_rentals as (
    select
        count(*) as rentals,
        count(case when return_status in ('on_time', 'late') then 1 end) as on_time_or_late
    from {{ ref('fct_rental') }}
    where rented_at is not null and returned_at is not null
)

select
    report.rentals,
    report.on_time_or_late,
    returned_rentals.rentals as expected_rentals,
    returned_rentals.on_time_or_late as expected_on_time_or_late
from report
cross join returned_rentals
where
    report.rentals != returned_rentals.rentals
    or report.on_time_or_late != returned_rentals.on_time_or_late
