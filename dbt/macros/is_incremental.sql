{#
  Overrides dbt's macro, with two differences. With `--no-introspect` it does not query the warehouse. A table that
  lacks a column of the model's contract, because it was built before the column was added, is rebuilt in full.
#}
{% macro is_incremental() -%}
    {%- set answer = namespace(value=false) -%}
    {%- if flags.INTROSPECT is not sameas false and dbt.is_incremental() -%}
        {%- set stored = adapter.get_columns_in_relation(this) | map(attribute="name") | map("lower") | list -%}
        {%- set answer.value = model.columns | map("lower") | reject("in", stored) | list | length == 0 -%}
    {%- endif -%}
    {%- do return(answer.value) -%}
{%- endmacro %}
