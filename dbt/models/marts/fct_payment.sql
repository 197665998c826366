with payments as (
    select * from {{ ref('stg_dvd_rental__payment') }}
),

rentals as (
    select * from {{ ref('fct_rental') }}
)

select
    payments.payment_id,
    payments.rental_id,
    payments.customer_id,
    payments.staff_id,
    -- Through the rental's copy. Dates cannot join the two: payments come more than a year after rentals.
    rentals.store_id,
    rentals.film_id,
    rentals.inventory_id,
    payments.paid_at,
    cast(payments.paid_at as date) as paid_on,
    payments.amount,
    payments.customer_id = rentals.customer_id as is_paid_by_renter,
    payments.change_lsn
from payments
left join rentals on payments.rental_id = rentals.rental_id
