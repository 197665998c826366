with rentals as (
    select * from {{ ref('stg_dvd_rental__rental') }}
),

inventory as (
    select * from {{ ref('stg_dvd_rental__inventory') }}
),

films as (
    select * from {{ ref('stg_dvd_rental__film') }}
),

-- Summed before the join: a rental may have several payments, and stays one row.
payments as (
    select
        rental_id,
        count(*) as payments,
        sum(amount) as revenue,
        min(paid_at) as first_paid_at,
        max(paid_at) as last_paid_at
    from {{ ref('stg_dvd_rental__payment') }}
    group by rental_id
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

rented_copies as (
    select
        rentals.rental_id,
        rentals.customer_id,
        rentals.staff_id,
        rentals.inventory_id,
        inventory.film_id,
        -- The store that owns the copy earns the rental, whoever handed it out.
        inventory.store_id,
        rentals.rented_at,
        {{ dbt.dateadd('day', 'films.rental_duration_days', 'rentals.rented_at') }} as due_at,
        rentals.returned_at,
        films.rental_duration_days,
        films.rental_rate,
        films.replacement_cost,
        rentals.change_lsn
    from rentals
    left join inventory on rentals.inventory_id = inventory.inventory_id
    left join films on inventory.film_id = films.film_id
)

select
    rented_copies.rental_id,
    rented_copies.customer_id,
    rented_copies.staff_id,
    rented_copies.store_id,
    rented_copies.film_id,
    rented_copies.inventory_id,
    rented_copies.rented_at,
    cast(rented_copies.rented_at as date) as rented_on,
    rented_copies.due_at,
    cast(rented_copies.due_at as date) as due_on,
    rented_copies.returned_at,
    cast(rented_copies.returned_at as date) as returned_on,
    rented_copies.returned_at is null as is_open,
    case
        when rented_copies.returned_at is null then 'open'
        when rented_copies.returned_at > rented_copies.due_at then 'late'
        else 'on_time'
    end as return_status,
    -- Null while the copy is out: whether it comes late is not known yet.
    rented_copies.returned_at > rented_copies.due_at as is_late,
    -- A day that has begun counts whole.
    case
        when rented_copies.returned_at > rented_copies.due_at
            then cast(ceil(
                {{ dbt.datediff('rented_copies.due_at', 'rented_copies.returned_at', 'second') }} / 86400.0
            ) as integer)
        when rented_copies.returned_at is not null then 0
    end as days_late,
    -- As of the data's own time; a copy that came back is not overdue, however late it was.
    rented_copies.returned_at is null and rented_copies.due_at < as_of.as_of as is_overdue,
    case
        when rented_copies.returned_at is null and rented_copies.due_at < as_of.as_of
            then cast(ceil(
                {{ dbt.datediff('rented_copies.due_at', 'as_of.as_of', 'second') }} / 86400.0
            ) as integer)
        else 0
    end as days_overdue,
    rented_copies.rental_duration_days,
    rented_copies.rental_rate,
    rented_copies.replacement_cost,
    coalesce(payments.payments, 0) > 0 as is_paid,
    coalesce(payments.payments, 0) as payments,
    cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
    payments.first_paid_at,
    cast(payments.first_paid_at as date) as first_paid_on,
    payments.last_paid_at,
    cast(payments.last_paid_at as date) as last_paid_on,
    rented_copies.change_lsn
from rented_copies
cross join as_of
left join payments on rented_copies.rental_id = payments.rental_id
