{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='payment_id',
        on_schema_change='append_new_columns',
        pre_hook="{{ build_from_right_sides() }}",
        post_hook=["{{ delete_rows_not_in('stg_dvd_rental__payment', 'payment_id') }}", "{{ log_row_count() }}"]
    )
}}

{# Rows that differ from the source are found by comparison, as in `fct_rental`, and replaced. #}
{%- set history_dimensions = ['customer', 'staff', 'store', 'film'] %}

with source_payments as (
    select * from {{ ref('stg_dvd_rental__payment') }}
),

rentals as (
    select * from {{ ref('fct_rental') }}
),

{% if is_incremental() -%}
    stored as (
        select * from {{ this }}
    ),

    changed_payments as (
        select source_payments.payment_id
        from source_payments
        left join stored
            on
                source_payments.payment_id = stored.payment_id
                and source_payments.change_lsn = stored.change_lsn
        where stored.payment_id is null
    ),

    payments_with_changed_rental as (
        select stored.payment_id
        from stored
        left join rentals on stored.rental_id = rentals.rental_id
        where
            stored.inventory_id is distinct from rentals.inventory_id
            or stored.film_id is distinct from rentals.film_id
            or stored.store_id is distinct from rentals.store_id
            or stored.is_paid_by_renter is distinct from (stored.customer_id = rentals.customer_id)
    ),

    {% for dimension in history_dimensions -%}
        payments_with_stale_{{ dimension }}_key as (
            {{ rows_with_stale_key('payment_id', dimension, 'paid_at') }}
        ),

    {% endfor -%}
    stale_payments as (
        select payment_id from changed_payments
        union distinct
        select payment_id from payments_with_changed_rental
        {% for dimension in history_dimensions -%}
            union distinct
            select payment_id from payments_with_stale_{{ dimension }}_key
        {% endfor %}
    ),

    payments as (
        select source_payments.*
        from source_payments
        inner join stale_payments on source_payments.payment_id = stale_payments.payment_id
    ),

{% else -%}
    payments as (
        select * from source_payments
    ),

{% endif -%}

customer_history as (
    select * from {{ ref('dim_customer_history') }}
),

staff_history as (
    select * from {{ ref('dim_staff_history') }}
),

store_history as (
    select * from {{ ref('dim_store_history') }}
),

film_history as (
    select * from {{ ref('dim_film_history') }}
),

-- Without a plausible time, the versions are those of the commit.
dated_payments as (
    select
        *,
        coalesce(paid_at, committed_at) as version_at
    from payments
),

current_payments as (
    select
        payments.payment_id,
        payments.rental_id,
        payments.customer_id,
        payments.staff_id,
        -- The store that owns the rental's copy. The join is by rental_id: a payment may be dated a year later.
        rentals.store_id,
        rentals.film_id,
        rentals.inventory_id,
        coalesce(customer_history.customer_key, {{ unknown_member_key() }}) as customer_key,
        coalesce(staff_history.staff_key, {{ unknown_member_key() }}) as staff_key,
        coalesce(store_history.store_key, {{ unknown_member_key() }}) as store_key,
        coalesce(film_history.film_key, {{ unknown_member_key() }}) as film_key,
        payments.paid_at,
        cast(payments.paid_at as date) as paid_on,
        {{ date_key('payments.paid_at') }} as paid_date_key,
        payments.amount,
        payments.customer_id = rentals.customer_id as is_paid_by_renter,
        payments.change_lsn
    from dated_payments as payments
    left join rentals on payments.rental_id = rentals.rental_id
    left join customer_history
        on
            payments.customer_id = customer_history.customer_id
            and {{ valid_at('customer_history', 'payments.version_at') }}
    left join staff_history
        on
            payments.staff_id = staff_history.staff_id
            and {{ valid_at('staff_history', 'payments.version_at') }}
    left join store_history
        on
            rentals.store_id = store_history.store_id
            and {{ valid_at('store_history', 'payments.version_at') }}
    left join film_history
        on
            rentals.film_id = film_history.film_id
            and {{ valid_at('film_history', 'payments.version_at') }}
)

select * from current_payments
