{{ config(meta={
    "description": "The rentals sum to all returned rentals",
    "dagster": {"ref": {"name": "rental_durations"}}
}) }}

with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(on_time + late), 0) as on_time_or_late
    from {{ ref('rental_durations') }}
),

all_rentals as (
    select
        count(*) as rentals,
        count(case when returned_at is null then 1 end) as open_rentals
    from {{ ref('fct_rental') }}
)

select
    report.rentals,
    report.on_time_or_late,
    all_rentals.open_rentals,
    all_rentals.rentals as all_rentals
from report
cross join all_rentals
where
    report.rentals + all_rentals.open_rentals != all_rentals.rentals
    or report.on_time_or_late != report.rentals
