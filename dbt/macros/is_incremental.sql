{#
  As dbt's own, with two differences. It does not ask the warehouse where `--no-introspect` says that there is none.
  And a table that lacks a column of its contract, built before the model had it, is built again in full.
#}
{% macro is_incremental() -%}
    {%- set answer = namespace(value=false) -%}
    {%- if flags.INTROSPECT is not sameas false and dbt.is_incremental() -%}
        {%- set stored = adapter.get_columns_in_relation(this) | map(attribute="name") | map("lower") | list -%}
        {%- set answer.value = model.columns | map("lower") | reject("in", stored) | list | length == 0 -%}
    {%- endif -%}
    {%- do return(answer.value) -%}
{%- endmacro %}
