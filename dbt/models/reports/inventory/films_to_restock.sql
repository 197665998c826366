with stock as (
    select * from {{ ref('film_availability') }}
),

utilisation as (
    select * from {{ ref('stock_utilisation') }}
),

-- Missing copies cannot be rented and do not count.
demand as (
    select
        stock.film_id,
        stock.title,
        stock.category,
        stock.store_id,
        stock.copies,
        stock.missing,
        stock.copies - stock.missing as usable_copies,
        utilisation.rentals,
        sum(utilisation.rentals) over () as all_rentals,
        sum(stock.copies - stock.missing) over () as all_usable_copies
    from stock
    inner join utilisation
        on
            stock.film_id = utilisation.film_id
            and stock.store_id = utilisation.store_id
),

wanted as (
    select
        *,
        cast(
            floor(cast(rentals * all_usable_copies as double) / nullif(all_rentals, 0)) as integer
        ) as wanted_copies
    from demand
)

select
    film_id,
    title,
    category,
    store_id,
    copies,
    missing,
    rentals,
    cast({{ rounded("1.0 * rentals / nullif(usable_copies, 0)", 2) }} as numeric(18, 2)) as turns,
    cast({{ rounded(
        "1.0 * all_rentals"
        ~ " / nullif(all_usable_copies, 0)", 2
    ) }} as numeric(18, 2)) as average_turns,
    wanted_copies,
    cast(wanted_copies - usable_copies as integer) as copies_to_buy,
    cast(
        row_number() over (
            order by wanted_copies - usable_copies desc, rentals desc, film_id asc, store_id asc
        ) as integer
    ) as restock_rank
from wanted
where wanted_copies > usable_copies
