with rentals as (
    select * from {{ ref('stg_dvd_rental__rental') }}
),

payments as (
    select * from {{ ref('stg_dvd_rental__payment') }}
),

customers as (
    select * from {{ ref('stg_dvd_rental__customer') }}
),

times as (
    select
        'rental' as table_name,
        rental_id as row_id,
        'rental_date' as column_name,
        source_rented_at as source_time,
        rented_at as plausible_time,
        committed_at
    from rentals

    union all

    select
        'rental' as table_name,
        rental_id as row_id,
        'return_date' as column_name,
        source_returned_at as source_time,
        returned_at as plausible_time,
        committed_at
    from rentals

    union all

    select
        'payment' as table_name,
        payment_id as row_id,
        'payment_date' as column_name,
        source_paid_at as source_time,
        paid_at as plausible_time,
        committed_at
    from payments

    union all

    select
        'customer' as table_name,
        customer_id as row_id,
        'create_date' as column_name,
        cast(source_created_on as timestamp) as source_time,
        cast(created_on as timestamp) as plausible_time,
        committed_at
    from customers
)

select
    table_name,
    row_id,
    column_name,
    cast(source_time as varchar) as source_value,
    case
        when source_time > committed_at then 'after the row was written'
        else 'before {{ var("earliest_event") }}'
    end as reason
from times
where source_time is not null and plausible_time is null
