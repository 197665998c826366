{#
  After a table was built: its number of rows, as a line of the log. Whoever runs dbt reads it there while dbt is still
  at work, when nobody else can read a DuckDB file. Views are not counted, as to count one is to compute it.
#}
{% macro log_row_count() -%}
    {%- if execute and model.config.materialized != "view" -%}
        {%- set rows = run_query("select count(*) from " ~ this).columns[0].values()[0] -%}
        {%- do log("rows in " ~ this.schema ~ "." ~ this.identifier ~ ": " ~ rows, info=true) -%}
    {%- endif -%}
{%- endmacro %}
