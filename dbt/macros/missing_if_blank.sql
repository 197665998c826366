{# The source writes an empty string where a text is not known. #}
{% macro missing_if_blank(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}
