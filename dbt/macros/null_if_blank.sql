{# `column` trimmed, or null when it is blank: the source stores an empty string for an unknown text. #}
{% macro null_if_blank(column) -%}
    nullif(trim({{ column }}), '')
{%- endmacro %}
