{#
  Snowflake's query history tells for each statement which asset, or check, of which run it was for. The tag holds
  until the next model's: to take it away again would be one more statement for each.
#}
{% macro snowflake__set_query_tag() -%}
    {%- set what = {"check": model.name} if model.resource_type == "test" else {
        "asset": (model.config.schema or model.schema) ~ "/" ~ model.name
    } -%}
    {%- set tag = dict({"app": "dvd_rental", "deployment": target.name}, **what) -%}
    {%- if env_var("DAGSTER_DBT_RUN_ID", "") -%}
        {%- do tag.update({"run": env_var("DAGSTER_DBT_RUN_ID")}) -%}
    {%- endif -%}
    {%- do run_query("alter session set query_tag = '" ~ (tojson(tag) | replace("'", "''")) ~ "'") -%}
{%- endmacro %}


{% macro snowflake__unset_query_tag(original_query_tag) -%}
{%- endmacro %}
