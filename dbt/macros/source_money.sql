{#
  An amount of the source with two decimals. It may arrive as a decimal of any precision, as a floating point number
  (Airbyte), or as text (PostgreSQL's numeric without precision).
#}
{% macro source_money(column) -%}
    cast(round(cast({{ column }} as numeric(28, 8)), 2) as numeric(18, 2))
{%- endmacro %}
