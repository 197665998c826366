with stock as (
    select * from {{ ref('film_availability') }}
    where copies > 0
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

-- Open rentals count up to the data timestamp. A lost copy is not stock from the time it was taken: neither the
-- loan nor the time is counted.
loans as (
    select
        rentals.film_id,
        rentals.store_id,
        count(*) as rentals,
        sum(rentals.revenue) as revenue,
        sum(
            case
                when rentals.is_lost then 0
                when rentals.returned_at <= as_of.as_of
                    then {{ dbt.datediff('rentals.rented_at', 'rentals.returned_at', 'second') }}
                when rentals.is_open and rentals.rented_at <= as_of.as_of
                    then {{ dbt.datediff('rentals.rented_at', 'as_of.as_of', 'second') }}
                else 0
            end
        ) as seconds_on_loan,
        sum(
            case
                when rentals.is_lost
                    then {{ dbt.datediff('rentals.rented_at', 'as_of.as_of', 'second') }}
                else 0
            end
        ) as seconds_lost,
        max(rentals.rented_on) as last_rented_on
    from {{ ref('fct_rental') }} as rentals
    cross join as_of
    group by rentals.film_id, rentals.store_id
),

seconds as (
    select {{ dbt.datediff('first_event_at', 'as_of', 'second') }} as seconds_observed
    from as_of
)

select
    stock.film_id,
    stock.title,
    stock.category,
    stock.store_id,
    stock.store_name,
    stock.copies,
    stock.lost as lost_copies,
    coalesce(loans.rentals, 0) as rentals,
    cast(coalesce(loans.revenue, 0) as numeric(18, 2)) as revenue,
    cast({{ rounded("1.0 * coalesce(loans.rentals, 0) / stock.copies", 2) }} as numeric(18, 2)) as turns,
    cast({{ rounded("coalesce(loans.seconds_on_loan, 0) / 86400.0", 2) }} as numeric(18, 2)) as days_on_loan,
    cast(
        {{ rounded(
            "100.0 * coalesce(loans.seconds_on_loan, 0)"
            ~ " / nullif(stock.copies * seconds.seconds_observed - coalesce(loans.seconds_lost, 0), 0)", 2
        ) }} as numeric(18, 2)
    ) as utilisation_pct,
    loans.last_rented_on
from stock
cross join seconds
left join loans
    on
        stock.film_id = loans.film_id
        and stock.store_id = loans.store_id
