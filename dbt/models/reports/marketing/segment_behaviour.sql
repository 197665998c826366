with segments as (
    select * from {{ ref('customer_segments') }}
),

rentals as (
    select
        rental_details.*,
        segments.segment
    from {{ ref('rental_details') }} as rental_details
    inner join segments on rental_details.customer_id = segments.customer_id
),

segment_customers as (
    select
        segment,
        count(*) as customers,
        cast(sum(frequency) as bigint) as rentals,
        cast(sum(monetary) as numeric(18, 2)) as revenue
    from segments
    group by segment
),

-- A basket is all rentals of a customer on one day.
baskets as (
    select
        segment,
        customer_id,
        rented_on,
        count(case when return_status = 'late' then 1 end) as late_rentals,
        count(returned_at) as returned_rentals,
        sum(days_kept) as days_kept
    from rentals
    group by segment, customer_id, rented_on
),

-- Rentals on an unknown day are in no basket.
segment_rentals as (
    select
        segment,
        count(rented_on) as baskets,
        sum(late_rentals) as late_rentals,
        sum(returned_rentals) as returned_rentals,
        sum(days_kept) as days_kept
    from baskets
    group by segment
),

-- By lift, since by count the most popular category is the favourite of every segment. Below ten expected
-- rentals, a high lift may be chance.
category_places as (
    select
        segment,
        category,
        lift,
        row_number() over (partition by segment order by lift desc, category asc) as place
    from {{ ref('genre_affinity') }}
    where expected_rentals >= 10
),

duration_places as (
    select
        segment,
        rental_duration_days,
        row_number() over (partition by segment order by count(*) desc, rental_duration_days asc) as place
    from rentals
    group by segment, rental_duration_days
)

select
    segment_customers.segment,
    segment_customers.customers,
    cast(
        {{ rounded("100.0 * segment_customers.customers / sum(segment_customers.customers) over ()", 2) }}
        as numeric(5, 2)
    ) as customer_share_pct,
    segment_customers.rentals,
    segment_customers.revenue,
    cast(
        {{ rounded(
            "100.0 * segment_customers.revenue"
            ~ " / nullif(sum(segment_customers.revenue) over (), 0)", 2
        ) }}
        as numeric(5, 2)
    ) as revenue_share_pct,
    cast(
        {{ rounded("1.0 * segment_customers.rentals / segment_customers.customers", 2) }} as numeric(18, 2)
    ) as rentals_per_customer,
    cast(
        {{ rounded("segment_customers.revenue / segment_customers.customers", 2) }} as numeric(18, 2)
    ) as revenue_per_customer,
    cast(
        {{ rounded("segment_customers.revenue / nullif(segment_customers.rentals, 0)", 2) }} as numeric(18, 2)
    ) as revenue_per_rental,
    coalesce(segment_rentals.baskets, 0) as baskets,
    cast(
        {{ rounded(
            "1.0 * segment_customers.rentals"
            ~ " / nullif(segment_rentals.baskets, 0)", 2
        ) }} as numeric(18, 2)
    ) as rentals_per_basket,
    category_places.category as favourite_category,
    category_places.lift as favourite_lift,
    cast(
        {{ rounded("100.0 * segment_rentals.late_rentals / nullif(segment_rentals.returned_rentals, 0)", 2) }}
        as numeric(5, 2)
    ) as late_rate_pct,
    duration_places.rental_duration_days as preferred_duration_days,
    cast(
        {{ rounded("1.0 * segment_rentals.days_kept / nullif(segment_rentals.returned_rentals, 0)", 2) }}
        as numeric(18, 2)
    ) as average_days_kept
from segment_customers
left join segment_rentals on segment_customers.segment = segment_rentals.segment
left join category_places
    on
        segment_customers.segment = category_places.segment
        and category_places.place = 1
left join duration_places
    on
        segment_customers.segment = duration_places.segment
        and duration_places.place = 1
