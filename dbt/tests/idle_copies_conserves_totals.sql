{{ config(meta={
    "description": "The copies listed are exactly those with fewer than half the average rentals",
    "dagster": {"ref": {"name": "idle_copies"}}
}) }}

with report as (
    select
        inventory_id,
        rentals
    from {{ ref('idle_copies') }}
),

copies as (
    select
        inventory.inventory_id,
        count(rentals.rental_id) as rentals
    from {{ ref('dim_copy') }} as inventory
    left join {{ ref('fct_rental') }} as rentals
        on inventory.inventory_id = rentals.inventory_id
    group by inventory.inventory_id
),

average as (
    select
        sum(rentals) as rentals,
        count(*) as copies
    from copies
),

expected as (
    select
        copies.inventory_id,
        copies.rentals
    from copies
    cross join average
    where copies.rentals = 0 or 2 * copies.rentals * average.copies < average.rentals
)

select
    report.inventory_id,
    report.rentals,
    expected.inventory_id as expected_inventory_id,
    expected.rentals as expected_rentals
from expected
full outer join report on expected.inventory_id = report.inventory_id
where expected.inventory_id is null or report.inventory_id is null or expected.rentals != report.rentals
