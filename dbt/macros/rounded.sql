{#
  `quotient`, rounded to `digits` decimal places, with the same result in both warehouses. DuckDB divides in binary
  floating point, where 2.01 / 2 is slightly less than 1.005; Snowflake divides decimals. Casting the quotient to six
  decimal places first removes the difference.
#}
{% macro rounded(quotient, digits) -%}
    round(cast({{ quotient }} as numeric(28, 6)), {{ digits }})
{%- endmacro %}
