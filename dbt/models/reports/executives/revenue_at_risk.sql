with stores as (
    select * from {{ ref('dim_store') }}
),

-- Each rental is in one of three states as of the data timestamp.
rentals as (
    select
        *,
        case
            when is_lost then 'lost'
            when is_open and not is_overdue then 'not due'
            else 'due'
        end as state
    from {{ ref('fct_rental') }}
),

risks as (
    select
        store_id,
        count(case when not is_paid and state = 'not due' then 1 end) as not_due_rentals,
        sum(case when not is_paid and state = 'not due' then rental_rate else 0 end) as not_due_amount,
        count(case when is_open and state = 'not due' then 1 end) as not_due_copies,
        sum(case when is_open and state = 'not due' then replacement_cost else 0 end) as not_due_cost,
        count(case when not is_paid and state != 'not due' then 1 end) as unpaid_rentals,
        sum(case when not is_paid and state != 'not due' then rental_rate else 0 end) as unpaid_amount,
        count(case when is_open and state = 'due' then 1 end) as overdue_copies,
        sum(case when is_open and state = 'due' then replacement_cost else 0 end) as overdue_cost,
        count(case when state = 'lost' then 1 end) as lost_copies,
        sum(case when state = 'lost' then replacement_cost else 0 end) as lost_cost
    from rentals
    group by store_id
)

select
    stores.store_id,
    stores.store_name,
    {% for count, amount in [
        ("not_due_rentals", "not_due_amount"), ("not_due_copies", "not_due_cost"),
        ("unpaid_rentals", "unpaid_amount"), ("overdue_copies", "overdue_cost"), ("lost_copies", "lost_cost"),
    ] -%}
        coalesce(risks.{{ count }}, 0) as {{ count }},
        cast(coalesce(risks.{{ amount }}, 0) as numeric(18, 2)) as {{ amount }},
    {% endfor -%}
    cast(coalesce(risks.unpaid_amount + risks.overdue_cost, 0) as numeric(18, 2)) as amount_at_risk
from stores
left join risks on stores.store_id = risks.store_id
