{%- set prior_days = 28 -%}
with stock as (
    select * from {{ ref('film_availability') }}
    where copies > 0
),

films as (
    select * from {{ ref('dim_film') }}
),

-- The window is shorter when the data are.
window_bounds as (
    select
        as_of as window_end,
        first_event_at,
        {{ dbt.dateadd('day', '-' ~ var('stock_window_days'), 'as_of') }} as full_start
    from {{ ref('data_as_of') }}
),

window_starts as (
    select
        window_end,
        case when first_event_at > full_start then first_event_at else full_start end as window_start
    from window_bounds
),

window_days as (
    select
        window_start,
        window_end,
        cast({{ dbt.datediff('window_start', 'window_end', 'second') }} as double) / 86400 as days
    from window_starts
),

loans as (
    select
        rentals.film_id,
        rentals.store_id,
        rentals.revenue,
        rentals.rented_at >= window_days.window_start as is_recent,
        case
            when rentals.rented_at > window_days.window_start then rentals.rented_at
            else window_days.window_start
        end as from_at,
        case
            when rentals.returned_at < window_days.window_end then rentals.returned_at
            else window_days.window_end
        end as until_at,
        case
            when rentals.returned_at > rentals.rented_at
                then
                    cast({{ dbt.datediff('rentals.rented_at', 'rentals.returned_at', 'second') }} as double)
                    / 86400
        end as days_kept
    from {{ ref('fct_rental') }} as rentals
    cross join window_days
    where
        rentals.rented_at <= window_days.window_end
        and (
            (rentals.returned_at is null and coalesce(rentals.is_open, true))
            or rentals.returned_at > window_days.window_start
        )
),

recent_rentals as (
    select
        film_id,
        store_id,
        count(*) as rentals
    from loans
    where is_recent
    group by film_id, store_id
),

store_durations as (
    select
        store_id,
        avg(days_kept) as days_kept
    from loans
    where is_recent
    group by store_id
),

-- Each loan gives two movements of the number of copies out; summed in order, they give it at every instant.
movements as (
    select
        film_id,
        store_id,
        from_at as moved_at,
        1 as copies_out
    from loans
    where until_at > from_at

    union all

    select
        film_id,
        store_id,
        until_at as moved_at,
        -1 as copies_out
    from loans
    where until_at > from_at
),

moments as (
    select
        film_id,
        store_id,
        moved_at,
        sum(copies_out) as copies_out
    from movements
    group by film_id, store_id, moved_at
),

levels as (
    select
        film_id,
        store_id,
        moved_at,
        sum(copies_out) over (
            partition by film_id, store_id order by moved_at rows between unbounded preceding and current row
        ) as copies_out,
        lead(moved_at) over (partition by film_id, store_id order by moved_at) as next_moved_at
    from moments
),

unavailability as (
    select
        levels.film_id,
        levels.store_id,
        max(levels.copies_out) as peak_on_loan,
        cast(
            sum(
                case
                    when levels.copies_out >= stock.copies
                        then {{ dbt.datediff('levels.moved_at', 'levels.next_moved_at', 'second') }}
                    else 0
                end
            ) as double
        ) / 86400 as days_out
    from levels
    inner join stock
        on
            levels.film_id = stock.film_id
            and levels.store_id = stock.store_id
    group by levels.film_id, levels.store_id
),

film_stores as (
    select
        stock.film_id,
        stock.title,
        stock.category,
        stock.store_id,
        stock.store_name,
        stock.copies,
        stock.lost,
        coalesce(recent_rentals.rentals, 0) as rentals,
        coalesce(unavailability.peak_on_loan, 0) as peak_on_loan,
        coalesce(unavailability.days_out, 0) as days_out,
        window_days.days as window_days,
        coalesce(store_durations.days_kept, films.rental_duration_days) as days_kept
    from stock
    cross join window_days
    left join films on stock.film_id = films.film_id
    left join recent_rentals
        on
            stock.film_id = recent_rentals.film_id
            and stock.store_id = recent_rentals.store_id
    left join unavailability
        on
            stock.film_id = unavailability.film_id
            and stock.store_id = unavailability.store_id
    left join store_durations on stock.store_id = store_durations.store_id
),

with_store_demand as (
    select
        *,
        sum(rentals) over (partition by store_id)
        / nullif(sum(window_days - days_out) over (partition by store_id), 0) as store_demand
    from film_stores
)

select
    film_id,
    title,
    category,
    store_id,
    store_name,
    copies,
    lost as lost_copies,
    copies - lost as usable_copies,
    rentals,
    cast(peak_on_loan as bigint) as peak_on_loan,
    cast({{ rounded("window_days", 2) }} as numeric(18, 2)) as window_days,
    cast({{ rounded("days_out", 2) }} as numeric(18, 2)) as unavailable_days,
    cast({{ rounded("100.0 * days_out / nullif(window_days, 0)", 2) }} as numeric(5, 2)) as unavailable_pct,
    -- Rentals per day while a copy is there. A film that was there for a day only says little about its demand:
    -- four weeks at the rate of the store's average film are added to what was observed.
    cast(
        {{ rounded(
            "(rentals + " ~ prior_days ~ " * coalesce(store_demand, 0))"
            ~ " / (window_days - days_out + " ~ prior_days ~ ")", 6
        ) }} as numeric(18, 6)
    ) as daily_demand,
    cast({{ rounded("days_kept", 2) }} as numeric(18, 2)) as average_days_kept,
    -- Never needed in the window; the last copy stays.
    cast(
        case
            when copies - peak_on_loan <= 0 or copies - lost <= 1 then 0
            when copies - peak_on_loan < copies - lost then copies - peak_on_loan
            else copies - lost - 1
        end as bigint
    ) as spare_copies
from with_store_demand
