{{ config(meta={
    "description": "On the last day, the copies on loan and overdue equal the open and overdue rentals",
    "dagster": {"ref": {"name": "fct_inventory_daily"}}
}) }}

-- Compared only if the data timestamp is not before the last event: open rentals are those of the last event.
with last_day as (
    select
        coalesce(sum(inventory.on_loan), 0) as on_loan,
        coalesce(sum(inventory.overdue), 0) as overdue
    from {{ ref('fct_inventory_daily') }} as inventory
    inner join {{ ref('data_as_of') }} as as_of on inventory.date_day = cast(as_of.as_of as date)
    where as_of.as_of >= as_of.last_event_at
),

open_rentals as (
    select
        count(*) as on_loan,
        count(case when rentals.is_overdue then 1 end) as overdue
    from {{ ref('fct_rental') }} as rentals
    cross join {{ ref('data_as_of') }} as as_of
    where
        rentals.is_open
        and rentals.rented_at is not null
        and rentals.store_id is not null
        and as_of.as_of >= as_of.last_event_at
)

select
    last_day.on_loan,
    open_rentals.on_loan as expected_on_loan,
    last_day.overdue,
    open_rentals.overdue as expected_overdue
from last_day
cross join open_rentals
where
    last_day.on_loan != open_rentals.on_loan
    -- A copy due exactly at the data timestamp is overdue in the daily fact but not yet in fct_rental.
    or last_day.overdue < open_rentals.overdue
