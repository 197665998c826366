with rentals as (
    select * from {{ ref('rental_details') }}
),

counts as (
    select
        store_id,
        store_name,
        category,
        count(*) as rentals,
        count(case when return_status = 'late' then 1 end) as late,
        count(case when return_status = 'on_time' then 1 end) as on_time,
        count(case when return_status = 'open' then 1 end) as open,
        count(case when is_overdue then 1 end) as overdue,
        sum(case when return_status = 'late' then days_late end) as days_late
    from rentals
    group by store_id, store_name, category
)

select
    store_id,
    store_name,
    category,
    rentals,
    late,
    on_time,
    open,
    overdue,
    -- Share of the returned rentals: open rentals are neither late nor on time yet.
    cast({{ rounded("100.0 * late / nullif(late + on_time, 0)", 2) }} as numeric(5, 2)) as late_rate_pct,
    cast({{ rounded("1.0 * days_late / nullif(late, 0)", 2) }} as numeric(18, 2)) as average_days_late
from counts
