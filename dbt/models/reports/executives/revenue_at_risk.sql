with stores as (
    select * from {{ ref('dim_store') }}
),

rentals as (
    select * from {{ ref('fct_rental') }}
),

risks as (
    select
        store_id,
        count(case when not is_paid then 1 end) as unpaid_rentals,
        sum(case when not is_paid then rental_rate else 0 end) as unpaid_amount,
        count(case when is_open then 1 end) as unreturned_copies,
        count(case when is_overdue then 1 end) as overdue_copies,
        sum(case when is_open then replacement_cost else 0 end) as unreturned_cost,
        sum(case when is_overdue then replacement_cost else 0 end) as overdue_cost
    from rentals
    group by store_id
)

select
    stores.store_id,
    stores.store_name,
    coalesce(risks.unpaid_rentals, 0) as unpaid_rentals,
    cast(coalesce(risks.unpaid_amount, 0) as numeric(18, 2)) as unpaid_amount,
    coalesce(risks.unreturned_copies, 0) as unreturned_copies,
    cast(coalesce(risks.unreturned_cost, 0) as numeric(18, 2)) as unreturned_cost,
    coalesce(risks.overdue_copies, 0) as overdue_copies,
    cast(coalesce(risks.overdue_cost, 0) as numeric(18, 2)) as overdue_cost,
    cast(coalesce(risks.unpaid_amount + risks.unreturned_cost, 0) as numeric(18, 2)) as amount_at_risk
from stores
left join risks on stores.store_id = risks.store_id
