with rentals as (
    select * from {{ ref('stg_dvd_rental__rental') }}
),

inventory as (
    select * from {{ ref('stg_dvd_rental__inventory') }}
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

customer_history as (
    select * from {{ ref('dim_customer_history') }}
),

film_history as (
    select * from {{ ref('dim_film_history') }}
),

store_history as (
    select * from {{ ref('dim_store_history') }}
),

staff_history as (
    select * from {{ ref('dim_staff_history') }}
),

-- Everything that comes from elsewhere; the rest is calculated from it.
current_rentals as (
    select
        rentals.rental_id,
        rentals.customer_id,
        rentals.staff_id,
        rentals.inventory_id,
        inventory.film_id,
        -- The store that owns the copy earns the rental, whoever handed it out.
        inventory.store_id,
        coalesce(customer_history.customer_key, {{ unknown_key() }}) as customer_key,
        coalesce(staff_history.staff_key, {{ unknown_key() }}) as staff_key,
        coalesce(store_history.store_key, {{ unknown_key() }}) as store_key,
        coalesce(film_history.film_key, {{ unknown_key() }}) as film_key,
        rentals.rented_at,
        {{ dbt.dateadd('day', 'film_history.rental_duration_days', 'rentals.rented_at') }} as due_at,
        rentals.returned_at,
        as_of.as_of,
        film_history.rental_duration_days,
        film_history.rental_rate,
        film_history.replacement_cost,
        coalesce(payments.payments, 0) as payments,
        cast(coalesce(payments.revenue, 0) as numeric(18, 2)) as revenue,
        payments.first_paid_at,
        payments.last_paid_at,
        rentals.change_lsn
    from rentals
    cross join as_of
    left join inventory on rentals.inventory_id = inventory.inventory_id
    left join payments on rentals.rental_id = payments.rental_id
    left join customer_history
        on
            rentals.customer_id = customer_history.customer_id
            and {{ valid_at('customer_history', 'rentals.rented_at') }}
    left join staff_history
        on
            rentals.staff_id = staff_history.staff_id
            and {{ valid_at('staff_history', 'rentals.rented_at') }}
    left join store_history
        on
            inventory.store_id = store_history.store_id
            and {{ valid_at('store_history', 'rentals.rented_at') }}
    left join film_history
        on
            inventory.film_id = film_history.film_id
            and {{ valid_at('film_history', 'rentals.rented_at') }}
)

select
    rental_id,
    customer_id,
    staff_id,
    store_id,
    film_id,
    inventory_id,
    customer_key,
    staff_key,
    store_key,
    film_key,
    rented_at,
    cast(rented_at as date) as rented_on,
    due_at,
    cast(due_at as date) as due_on,
    returned_at,
    cast(returned_at as date) as returned_on,
    returned_at is null as is_open,
    case
        when returned_at is null then 'open'
        when returned_at > due_at then 'late'
        when returned_at <= due_at then 'on_time'
        else 'unknown'
    end as return_status,
    -- Null while the copy is out: whether it comes late is not known yet.
    returned_at > due_at as is_late,
    -- A day that has begun counts whole.
    case
        when returned_at > due_at
            then cast(ceil({{ dbt.datediff('due_at', 'returned_at', 'second') }} / 86400.0) as integer)
        when returned_at <= due_at then 0
    end as days_late,
    -- As of the data's own time; a copy that came back is not overdue, however late it was.
    returned_at is null and coalesce(due_at < as_of, false) as is_overdue,
    case
        when returned_at is null and due_at < as_of
            then cast(ceil({{ dbt.datediff('due_at', 'as_of', 'second') }} / 86400.0) as integer)
        else 0
    end as days_overdue,
    rental_duration_days,
    rental_rate,
    replacement_cost,
    payments > 0 as is_paid,
    payments,
    revenue,
    first_paid_at,
    cast(first_paid_at as date) as first_paid_on,
    last_paid_at,
    cast(last_paid_at as date) as last_paid_on,
    change_lsn
from current_rentals
