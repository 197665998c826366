with copies as (
    select * from {{ ref('dim_copy') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

rentals as (
    select
        inventory_id,
        count(*) as rentals,
        max(rented_on) as last_rented_on,
        max(case when is_open then 1 else 0 end) as is_out,
        max(case when is_lost then 1 else 0 end) as is_lost
    from {{ ref('fct_rental') }}
    group by inventory_id
),

copy_rentals as (
    select
        copies.inventory_id,
        copies.film_id,
        copies.store_id,
        coalesce(rentals.rentals, 0) as rentals,
        rentals.last_rented_on,
        coalesce(rentals.is_out, 0) = 1 as is_out,
        coalesce(rentals.is_lost, 0) = 1 as is_lost,
        sum(coalesce(rentals.rentals, 0)) over () as all_rentals,
        count(*) over () as all_copies
    from copies
    left join rentals on copies.inventory_id = rentals.inventory_id
)

select
    copy_rentals.inventory_id,
    copy_rentals.film_id,
    films.title,
    films.category,
    copy_rentals.store_id,
    stores.store_name,
    case when copy_rentals.rentals = 0 then 'never' else 'rarely' end as rented,
    copy_rentals.rentals,
    copy_rentals.last_rented_on,
    cast(
        {{ dbt.datediff('copy_rentals.last_rented_on', 'as_of.as_of', 'day') }} as integer
    ) as days_since_rental,
    copy_rentals.is_out,
    copy_rentals.is_lost,
    films.replacement_cost
from copy_rentals
cross join as_of
left join stores on copy_rentals.store_id = stores.store_id
left join films on copy_rentals.film_id = films.film_id
-- Fewer than half the average number of rentals per copy. Multiplying instead of dividing avoids rounding.
where copy_rentals.rentals = 0 or 2 * copy_rentals.rentals * copy_rentals.all_copies < copy_rentals.all_rentals
