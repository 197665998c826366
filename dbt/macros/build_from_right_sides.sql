{#
  Pre-hook of facts: joins build their hash tables from their right sides. DuckDB estimates the joins with the histories
  at a thousandth of their rows, and would build hash tables of all rentals, which takes three times as long with 16
  million. The setting lasts until the connection is closed, after the model.
#}
{% macro build_from_right_sides() -%}
    {%- if target.type == "duckdb" -%}
        set disabled_optimizers = 'join_filter_pushdown,build_side_probe_side'
    {%- endif -%}
{%- endmacro %}
