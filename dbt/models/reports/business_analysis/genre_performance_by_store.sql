with rentals as (
    select * from {{ ref('rental_details') }}
),

store_sums as (
    select
        store_id,
        store_name,
        category,
        count(*) as rentals,
        cast(sum(payments) as bigint) as payments,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from rentals
    group by store_id, store_name, category
)

select
    store_id,
    store_name,
    category,
    rentals,
    payments,
    revenue,
    cast(
        row_number() over (partition by store_id order by rentals desc, category asc) as integer
    ) as rental_rank,
    cast(
        row_number() over (partition by store_id order by revenue desc, category asc) as integer
    ) as revenue_rank
from store_sums
