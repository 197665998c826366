with segments as (
    select * from {{ ref('customer_segments') }}
),

rentals as (
    select
        segments.segment,
        rental_details.category
    from {{ ref('rental_details') }} as rental_details
    inner join segments on rental_details.customer_id = segments.customer_id
),

pairs as (
    select
        segment,
        category,
        count(*) as rentals
    from rentals
    group by segment, category
),

totals as (
    select
        *,
        sum(rentals) over (partition by segment) as segment_rentals,
        sum(rentals) over (partition by category) as category_rentals,
        sum(rentals) over () as all_rentals
    from pairs
),

affinities as (
    select
        *,
        -- Rentals of the genre if the segment had the preferences of all customers.
        {{ rounded("1.0 * segment_rentals * category_rentals / all_rentals", 2) }} as expected_rentals,
        -- A single division: dividing a rounded quotient again would lose precision.
        {{ rounded("1.0 * rentals * all_rentals / (segment_rentals * category_rentals)", 3) }} as lift
    from totals
)

select
    segment,
    category,
    rentals,
    cast(expected_rentals as numeric(18, 2)) as expected_rentals,
    cast(lift as numeric(18, 3)) as lift,
    cast(
        row_number() over (
            partition by segment order by lift desc, category asc
        ) as integer
    ) as affinity_rank
from affinities
