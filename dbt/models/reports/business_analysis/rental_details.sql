with rentals as (
    select * from {{ ref('fct_rental') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

staff as (
    select * from {{ ref('dim_staff') }}
)

-- All joins are on primary keys of dimensions, so each rental stays one row.
select
    rentals.rental_id,
    rentals.rented_at,
    rentals.rented_on,
    rentals.due_at,
    rentals.returned_at,
    rentals.return_status,
    rentals.is_late,
    rentals.days_late,
    rentals.is_overdue,
    rentals.days_overdue,
    rentals.is_lost,
    rentals.rental_duration_days,
    cast(
        ceil({{ dbt.datediff('rentals.rented_at', 'rentals.returned_at', 'second') }} / 86400.0) as integer
    ) as days_kept,
    rentals.store_id,
    stores.store_name,
    rentals.staff_id,
    staff.staff_name,
    rentals.inventory_id,
    rentals.film_id,
    films.title,
    films.category,
    coalesce(films.rating, 'Unknown') as rating,
    films.length_minutes,
    rentals.rental_rate,
    rentals.replacement_cost,
    rentals.customer_id,
    customers.store_id as home_store_id,
    home_stores.store_name as home_store_name,
    customers.city_id,
    customers.city,
    customers.country_id,
    customers.country,
    rentals.is_paid,
    rentals.payments,
    rentals.revenue,
    rentals.first_paid_on,
    rentals.last_paid_on
from rentals
left join films on rentals.film_id = films.film_id
left join customers on rentals.customer_id = customers.customer_id
left join stores as home_stores on customers.store_id = home_stores.store_id
left join staff on rentals.staff_id = staff.staff_id
left join stores on rentals.store_id = stores.store_id
