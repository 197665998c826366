{#
  Sets Snowflake's query tag, which shows in the query history for which asset or check, and in which run, a statement
  was executed. The tag stays until the next model sets its own: unsetting it would cost another statement per model.
#}
{% macro snowflake__set_query_tag() -%}
    {%- set object = {"check": model.name} if model.resource_type == "test" else {
        "asset": (model.config.schema or model.schema) ~ "/" ~ model.name
    } -%}
    {%- set tag = dict({"app": "dvd_rental", "deployment": target.name}, **object) -%}
    {%- if env_var("DAGSTER_DBT_RUN_ID", "") -%}
        {%- do tag.update({"run": env_var("DAGSTER_DBT_RUN_ID")}) -%}
    {%- endif -%}
    {%- do run_query("alter session set query_tag = '" ~ (tojson(tag) | replace("'", "''")) ~ "'") -%}
{%- endmacro %}


{# Does nothing: see above. #}
{% macro snowflake__unset_query_tag(original_query_tag) -%}
{%- endmacro %}
