with additional_copies as (
    select * from {{ ref('additional_copies') }}
),

unavailability as (
    select * from {{ ref('stock_unavailability') }}
),

moves as (
    select
        film_id,
        to_store_id as store_id,
        sum(copies_to_move) as copies_to_move_in
    from {{ ref('copies_to_move') }}
    group by film_id, to_store_id
),

-- Copies that another store can give are not bought.
copies_to_buy as (
    select
        additional_copies.film_id,
        additional_copies.store_id,
        max(coalesce(moves.copies_to_move_in, 0)) as copies_to_move_in,
        count(*) as copies_to_buy,
        sum(additional_copies.expected_extra_rentals) as extra_rentals,
        sum(additional_copies.expected_extra_revenue) as extra_revenue,
        sum(additional_copies.replacement_cost) as cost
    from additional_copies
    left join moves
        on
            additional_copies.film_id = moves.film_id
            and additional_copies.store_id = moves.store_id
    where
        additional_copies.additional_copy > coalesce(moves.copies_to_move_in, 0)
        and additional_copies.payback_days <= {{ var('restock_payback_days') }}
    group by additional_copies.film_id, additional_copies.store_id
)

select
    copies_to_buy.film_id,
    unavailability.title,
    unavailability.category,
    copies_to_buy.store_id,
    unavailability.store_name,
    unavailability.copies,
    unavailability.lost_copies,
    unavailability.rentals,
    unavailability.unavailable_days,
    unavailability.unavailable_pct,
    cast(copies_to_buy.copies_to_move_in as bigint) as copies_to_move_in,
    copies_to_buy.copies_to_buy,
    cast({{ rounded("copies_to_buy.extra_rentals", 2) }} as numeric(18, 2)) as expected_extra_rentals,
    cast({{ rounded("copies_to_buy.extra_revenue", 2) }} as numeric(18, 2)) as expected_extra_revenue,
    cast(copies_to_buy.cost as numeric(18, 2)) as cost,
    cast(
        {{ rounded(
            "copies_to_buy.cost * unavailability.window_days / nullif(copies_to_buy.extra_revenue, 0)", 0
        ) }} as integer
    ) as payback_days,
    cast(
        row_number() over (
            order by
                copies_to_buy.cost / copies_to_buy.extra_revenue asc,
                copies_to_buy.film_id asc,
                copies_to_buy.store_id asc
        ) as integer
    ) as restock_rank
from copies_to_buy
inner join unavailability
    on
        copies_to_buy.film_id = unavailability.film_id
        and copies_to_buy.store_id = unavailability.store_id
