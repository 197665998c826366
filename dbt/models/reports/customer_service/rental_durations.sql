-- Open rentals, and those with an unknown time, have no duration.
with rentals as (
    select * from {{ ref('rental_details') }}
    where days_kept is not null
),

counts as (
    select
        days_kept,
        count(*) as rentals,
        count(case when return_status = 'on_time' then 1 end) as on_time,
        count(case when return_status = 'late' then 1 end) as late
    from rentals
    group by days_kept
)

select
    days_kept,
    rentals,
    on_time,
    late,
    cast({{ rounded("100.0 * rentals / sum(rentals) over ()", 2) }} as numeric(5, 2)) as share_pct,
    cast(
        {{ rounded(
            "100.0 * sum(rentals) over (order by days_kept rows between unbounded preceding and current row)"
            ~ " / sum(rentals) over ()", 2
        ) }} as numeric(5, 2)
    ) as running_share_pct
from counts
