with rentals as (
    select * from {{ ref('rental_details') }}
),

pairs as (
    select
        country_id,
        country,
        category,
        count(*) as rentals
    from rentals
    group by country_id, country, category
),

totals as (
    select
        *,
        sum(rentals) over (partition by country_id) as country_rentals,
        sum(rentals) over (partition by category) as category_rentals,
        sum(rentals) over () as all_rentals
    from pairs
),

affinities as (
    select
        *,
        -- Rentals of the genre if the country had the preferences of all customers.
        {{ rounded("1.0 * country_rentals * category_rentals / all_rentals", 2) }} as expected_rentals,
        -- A single division: dividing a rounded quotient again would lose precision.
        {{ rounded("1.0 * rentals * all_rentals / (country_rentals * category_rentals)", 3) }} as lift
    from totals
)

select
    country_id,
    country,
    category,
    rentals,
    cast(expected_rentals as numeric(18, 2)) as expected_rentals,
    cast(lift as numeric(18, 3)) as lift,
    cast(
        row_number() over (
            partition by country_id order by lift desc, category asc
        ) as integer
    ) as affinity_rank
from affinities
