{{ config(meta={
    "description": "Every rental of the source but those that are open",
    "dagster": {"ref": {"name": "rental_durations"}}
}) }}

with report as (
    select
        coalesce(sum(rentals), 0) as rentals,
        coalesce(sum(on_time + late), 0) as on_time_or_late
    from {{ ref('rental_durations') }}
),

source_rentals as (
    select
        count(*) as rentals,
        count(case when returned_at is null then 1 end) as open_rentals
    from {{ ref('stg_dvd_rental__rental') }}
)

select
    report.rentals,
    report.on_time_or_late,
    source_rentals.open_rentals,
    source_rentals.rentals as source_rentals
from report
cross join source_rentals
where
    report.rentals + source_rentals.open_rentals != source_rentals.rentals
    or report.on_time_or_late != report.rentals
