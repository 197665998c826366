{# The payments of the relation `payments`, summed. One row per rental with payments. #}
{% macro payments_by_rental(payments) -%}
    select
        rental_id,
        count(*) as payments,
        sum(amount) as revenue,
        min(paid_at) as first_paid_at,
        max(paid_at) as last_paid_at
    from {{ payments }}
    group by rental_id
{%- endmacro %}
