{#
  Pre-hook: removes the pipeline's record of what the model was built from, when dbt is started by hand, with code or
  variables that the pipeline does not know. Its next run builds the model again. Within a run, the pipeline does it.
#}
{% macro forget_build() -%}
    {%- if execute and not env_var("DAGSTER_DBT_RUN_ID", "") -%}
        {%- set schema = generate_schema_name("staging", model) -%}
        {%- set records = adapter.get_relation(target.database, schema, "build_records") -%}
        {%- if records -%} delete from {{ records }} where node = '{{ model.unique_id }}' {%- endif -%}
    {%- endif -%}
{%- endmacro %}
