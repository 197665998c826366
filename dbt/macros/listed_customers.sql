{#
    The customers in `relation` as the source's own view customer_list shows them: id, name, address, zip code,
    phone, city, country, notes ("active" or nothing) and store.
#}
{% macro listed_customers(relation) -%}
    select
        customer_id,
        customer_name,
        address,
        postal_code,
        phone,
        city,
        country,
        case when is_active then 'active' else '' end as notes,
        store_id
    from {{ relation }}
{%- endmacro %}
