{{ config(meta={
    "description": "Each film and store is listed with its rentals unless it has enough copies",
    "dagster": {"ref": {"name": "films_to_restock"}}
}) }}

with report as (
    select * from {{ ref('films_to_restock') }}
),

stock as (
    select
        utilisation.film_id,
        utilisation.store_id,
        utilisation.rentals,
        availability.copies - availability.missing as usable_copies,
        sum(utilisation.rentals) over () as all_rentals,
        sum(availability.copies - availability.missing) over () as all_usable_copies
    from {{ ref('stock_utilisation') }} as utilisation
    inner join {{ ref('film_availability') }} as availability
        on
            utilisation.film_id = availability.film_id
            and utilisation.store_id = availability.store_id
)

-- A film may be left out only if one more copy would be rented less often than the average copy.
select
    coalesce(stock.film_id, report.film_id) as film_id,
    coalesce(stock.store_id, report.store_id) as store_id,
    stock.rentals as expected_rentals,
    report.rentals,
    report.copies_to_buy
from stock
full outer join report
    on
        stock.film_id = report.film_id
        and stock.store_id = report.store_id
where
    stock.film_id is null
    or stock.rentals != report.rentals
    or (
        report.film_id is null
        and (stock.usable_copies + 1) * stock.all_rentals <= stock.rentals * stock.all_usable_copies
    )
