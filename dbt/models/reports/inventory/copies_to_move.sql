-- A move is worth the trip if the copy is more likely than not to be rented in a window.
with wanted_copies as (
    select
        *,
        row_number() over (
            partition by film_id
            order by expected_extra_rentals desc, additional_copy asc, store_id asc
        ) as place
    from {{ ref('additional_copies') }}
    where expected_extra_rentals >= 0.5
),

spare_stock as (
    select * from {{ ref('stock_unavailability') }}
    where spare_copies > 0
),

-- As many as a film may need, from the store that has most to spare.
numbers as (
    {{ dbt.generate_series(100) }}
),

spare_copies as (
    select
        spare_stock.film_id,
        spare_stock.store_id,
        spare_stock.store_name,
        row_number() over (
            partition by spare_stock.film_id
            order by spare_stock.spare_copies - numbers.generated_number desc, spare_stock.store_id asc
        ) as place
    from spare_stock
    inner join numbers on spare_stock.spare_copies >= numbers.generated_number
)

select
    wanted_copies.film_id,
    wanted_copies.title,
    wanted_copies.category,
    spare_copies.store_id as from_store_id,
    spare_copies.store_name as from_store_name,
    wanted_copies.store_id as to_store_id,
    wanted_copies.store_name as to_store_name,
    count(*) as copies_to_move,
    cast(
        {{ rounded("sum(wanted_copies.expected_extra_rentals)", 2) }} as numeric(18, 2)
    ) as expected_extra_rentals,
    cast(
        {{ rounded("sum(wanted_copies.expected_extra_revenue)", 2) }} as numeric(18, 2)
    ) as expected_extra_revenue
from wanted_copies
inner join spare_copies
    on
        wanted_copies.film_id = spare_copies.film_id
        and wanted_copies.place = spare_copies.place
group by
    wanted_copies.film_id,
    wanted_copies.title,
    wanted_copies.category,
    spare_copies.store_id,
    spare_copies.store_name,
    wanted_copies.store_id,
    wanted_copies.store_name
