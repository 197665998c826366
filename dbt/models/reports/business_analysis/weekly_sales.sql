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

countries as (
    select distinct
        country_id,
        country
    from customers
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

-- By identifiers: the names join the sums, not all events.
sums as (
    select
        events.week,
        events.store_id,
        customers.country_id,
        sum(events.rentals) as rentals,
        sum(events.payments) as payments,
        sum(events.revenue) as revenue
    from events
    left join customers on events.customer_id = customers.customer_id
    group by events.week, events.store_id, customers.country_id
)

select
    sums.week,
    -- Weeks before the first payment have rentals only, and are whole if they are over.
    coalesce(weeks.is_complete, as_of.as_of >= {{ dbt.dateadd('day', 7, 'sums.week') }}) as is_complete,
    coalesce(sums.store_id, -1) as store_id,
    coalesce(stores.store_name, 'Unknown') as store_name,
    coalesce(sums.country_id, -1) as country_id,
    coalesce(countries.country, 'Unknown') as country,
    cast(sums.rentals as bigint) as rentals,
    cast(sums.payments as bigint) as payments,
    cast(sums.revenue as numeric(18, 2)) as revenue
from sums
cross join as_of
left join weeks on sums.week = weeks.week
left join stores on sums.store_id = stores.store_id
left join countries on sums.country_id = countries.country_id
