{#
  Post-hook: logs the number of rows of the table that was built. The pipeline reads the counts from dbt's log, because
  no other process can open a DuckDB file while dbt is running. Views are not counted: counting them would compute them.
#}
{% macro log_row_count() -%}
    {%- if execute and model.config.materialized != "view" -%}
        {%- set rows = run_query("select count(*) from " ~ this).columns[0].values()[0] -%}
        {%- do log("rows in " ~ this.schema ~ "." ~ this.identifier ~ ": " ~ rows, info=true) -%}
    {%- endif -%}
{%- endmacro %}
