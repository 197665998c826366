with weeks as (
    select * from {{ ref('revenue_by_week') }}
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

-- Events at an unknown time belong to no week.
events as (
    select
        cast({{ dbt.date_trunc('week', 'rented_on') }} as date) as week,
        store_id,
        customer_id,
        1 as rentals,
        0 as payments,
        0 as revenue
    from {{ ref('fct_rental') }}
    where rented_on is not null

    union all

    select
        cast({{ dbt.date_trunc('week', 'paid_on') }} as date) as week,
        store_id,
        customer_id,
        0 as rentals,
        1 as payments,
        amount as revenue
    from {{ ref('fct_payment') }}
    where paid_on is not null
),

sums as (
    select
        events.week,
        coalesce(events.store_id, -1) as store_id,
        coalesce(stores.store_name, 'Unknown') as store_name,
        coalesce(customers.country_id, -1) as country_id,
        coalesce(customers.country, 'Unknown') as country,
        cast(sum(events.rentals) as bigint) as rentals,
        cast(sum(events.payments) as bigint) as payments,
        cast(sum(events.revenue) as numeric(18, 2)) as revenue
    from events
    left join stores on events.store_id = stores.store_id
    left join customers on events.customer_id = customers.customer_id
    group by 1, 2, 3, 4, 5
)

select
    sums.week,
    -- Weeks before the first payment have rentals only, and are whole if they are over.
    coalesce(weeks.is_complete, as_of.as_of >= {{ dbt.dateadd('day', 7, 'sums.week') }}) as is_complete,
    sums.store_id,
    sums.store_name,
    sums.country_id,
    sums.country,
    sums.rentals,
    sums.payments,
    sums.revenue
from sums
cross join as_of
left join weeks on sums.week = weeks.week
