{#
  Overrides dbt's macro: beside `--full-refresh`, an incremental model is built from scratch if the environment names
  it. The pipeline names the models whose code, or code above them, has changed since they were built.
#}
{% macro should_full_refresh() -%}
    {%- set named = env_var("DAGSTER_DBT_FULL_REFRESH_MODELS", "").split(" ") -%}
    {%- do return(dbt.should_full_refresh() or model.unique_id in named) -%}
{%- endmacro %}
