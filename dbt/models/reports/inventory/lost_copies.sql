with rentals as (
    select * from {{ ref('fct_rental') }}
    where is_lost
),

as_of as (
    select * from {{ ref('data_as_of') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

-- A copy that is wrongly recorded as rented twice is lost once, by who rented it last.
last_rentals as (
    select
        *,
        row_number() over (partition by inventory_id order by rented_at desc, rental_id desc) as place
    from rentals
)

select
    last_rentals.inventory_id,
    last_rentals.film_id,
    films.title,
    films.category,
    last_rentals.store_id,
    stores.store_name,
    last_rentals.rental_id,
    last_rentals.customer_id,
    customers.customer_name,
    last_rentals.rented_at,
    last_rentals.due_at,
    cast({{ dbt.datediff('last_rentals.rented_at', 'as_of.as_of', 'day') }} as integer) as days_out,
    last_rentals.days_overdue,
    last_rentals.is_paid,
    last_rentals.replacement_cost,
    cast(
        row_number() over (
            order by last_rentals.replacement_cost desc, last_rentals.inventory_id asc
        ) as integer
    ) as value_rank
from last_rentals
cross join as_of
left join films on last_rentals.film_id = films.film_id
left join stores on last_rentals.store_id = stores.store_id
left join customers on last_rentals.customer_id = customers.customer_id
where last_rentals.place = 1
