{# Growth of `value` compared with `previous`, in percent; null when `previous` is null or zero. #}
{% macro growth_pct(value, previous) -%}
    cast(
        {{ rounded("100.0 * (" ~ value ~ " - " ~ previous ~ ") / nullif(" ~ previous ~ ", 0)", 2) }}
        as numeric(18, 2)
    )
{%- endmacro %}
