{#
  The customers of `relation` in the columns of the source's view `customer_list`: id, name, address, postal code,
  phone, city, country, notes ("active" or empty) and store.
#}
{% macro customer_list(relation) -%}
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
