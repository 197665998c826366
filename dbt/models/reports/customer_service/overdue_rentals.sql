with rentals as (
    select * from {{ ref('fct_rental') }}
    where is_overdue
),

customers as (
    select * from {{ ref('dim_customer') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

stores as (
    select * from {{ ref('dim_store') }}
)

select
    rentals.rental_id,
    rentals.customer_id,
    customers.customer_name,
    rentals.store_id,
    stores.store_name,
    rentals.inventory_id,
    rentals.film_id,
    films.title,
    rentals.rented_at,
    rentals.due_at,
    rentals.days_overdue as days_late,
    rentals.is_lost,
    rentals.is_paid,
    rentals.replacement_cost,
    cast(row_number() over (order by rentals.due_at asc, rentals.rental_id asc) as integer) as overdue_rank
from rentals
left join customers on rentals.customer_id = customers.customer_id
left join stores on rentals.store_id = stores.store_id
left join films on rentals.film_id = films.film_id
