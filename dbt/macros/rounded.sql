{#
  A quotient, rounded. DuckDB divides in binary, where 2.01 / 2 is a little less than 1.005, and Snowflake in decimals.
  What is cut to six digits first is the same in both, and so are its cents.
#}
{% macro rounded(quotient, digits) -%}
    round(cast({{ quotient }} as numeric(28, 6)), {{ digits }})
{%- endmacro %}
