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
        -- What the country would rent of the genre if it had the taste of all customers.
        1.0 * country_rentals * category_rentals / all_rentals as expected_rentals
    from totals
)

select
    country_id,
    country,
    category,
    rentals,
    cast(round(expected_rentals, 2) as numeric(18, 2)) as expected_rentals,
    cast(round(rentals / expected_rentals, 3) as numeric(18, 3)) as lift,
    cast(
        row_number() over (
            partition by country_id order by round(rentals / expected_rentals, 3) desc, category asc
        ) as integer
    ) as affinity_rank
from affinities
