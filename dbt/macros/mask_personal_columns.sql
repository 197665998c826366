{#
  Masking of the columns with `pii: true` in their meta, in Snowflake. The policy is part of the statement that creates
  a table or view, so that nobody sees a value unmasked, not even while dbt is running or when it fails. Only the role
  PII_READER and dbt's own role see the values. `dvd-rental snowflake apply` creates the policy.

  Snowflake's Standard edition has no policies. There, reporters may read only views, and `create_public_view` gives
  them one without these columns for each table.
#}
{% macro has_masking_policies() -%}
    {{ return(env_var("DVD_RENTAL_SNOWFLAKE_EDITION", "enterprise") != "standard") }}
{%- endmacro %}


{# The name of the masking policy. #}
{% macro personal_text_policy() -%}
    {{- target.database }}.governance.personal_text
{%- endmacro %}


{# The names of the personal columns of `node`, in lower case. #}
{% macro personal_columns(node) -%}
    {%- set names = [] -%}
    {%- for column in node.columns.values() if column.config.meta.pii -%}
        {%- do names.append(column.name | lower) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}


{# What follows the definition of a column of `node` in a create statement. #}
{% macro masking_clause(node, name) -%}
    {%- if has_masking_policies() and name | lower in personal_columns(node) -%}
        {{ " with masking policy " ~ personal_text_policy() }}
    {%- endif -%}
{%- endmacro %}


{# Tables with a contract: dbt's own definition of columns and constraints, with the policy. #}
{% macro snowflake__get_table_columns_and_constraints() -%}
    {%- set columns = adapter.render_raw_columns_constraints(raw_columns=model["columns"]) -%}
    {%- set constraints = adapter.render_raw_model_constraints(raw_constraints=model["constraints"]) -%}
    {%- set definitions = [] -%}
    {%- for column in model["columns"].values() -%}
        {%- do definitions.append(columns[loop.index0] ~ masking_clause(model, column.name)) -%}
    {%- endfor -%}
    (
        {{ (definitions + constraints) | join(",\n        ") }}
    )
{%- endmacro %}


{#
  Tables without a contract that have personal columns, such as snapshots: the columns of the query, with the policy.
#}
{% macro snowflake__create_table_as(temporary, relation, compiled_code, language="sql") -%}
    {%- set is_masked = has_masking_policies() and personal_columns(model) -%}
    {%- if temporary or config.get("contract").enforced or not is_masked -%}
        {{ return(dbt.snowflake__create_table_as(temporary, relation, compiled_code, language)) }}
    {%- endif -%}
    {%- set names, definitions = [], [] -%}
    {%- for column in get_column_schema_from_query(compiled_code) -%}
        {%- do names.append(adapter.quote(column.name)) -%}
        {%- set policy = masking_clause(model, column.name) -%}
        {%- do definitions.append(names[-1] ~ " " ~ column.data_type ~ policy) -%}
    {%- endfor -%}
    create or replace {{ "transient " if config.get("transient", true) }}table {{ relation }} (
        {{ definitions | join(",\n        ") }}
    ) as (
        select {{ names | join(", ") }} from (
            {{ compiled_code }}
        ) as model_subquery
    )
{%- endmacro %}


{# Columns that are added to a snapshot. #}
{% macro snowflake__create_columns(relation, columns) -%}
    {%- for column in columns -%}
        {%- call statement() -%}
            alter table {{ relation.render() }} add column {{ adapter.quote(column.name) }} {{ column.expanded_data_type }}
            {{- masking_clause(model, column.name) }}
        {%- endcall -%}
    {%- endfor -%}
{%- endmacro %}


{# Views that have personal columns. #}
{% macro snowflake__create_view_as(relation, sql) -%}
    {%- if not has_masking_policies() or not personal_columns(model) -%}
        {{ return(snowflake__create_view_as_with_temp_flag(relation, sql)) }}
    {%- endif -%}
    {%- set definitions = [] -%}
    {%- for name in get_columns_in_query(sql) -%}
        {%- do definitions.append(adapter.quote(name) ~ masking_clause(model, name)) -%}
    {%- endfor -%}
    create or replace view {{ relation }} (
        {{ definitions | join(",\n        ") }}
    ) as (
        {{ sql }}
    )
{%- endmacro %}


{#
  Post-hook for tables that reporters read. In Snowflake's Standard edition: a secure view `<table>_public` without the
  personal columns.
#}
{% macro create_public_view() -%}
    {%- if execute and target.type == "snowflake" and not has_masking_policies() -%}
        {{ public_view_statement(this, model) }}
    {%- endif -%}
{%- endmacro %}


{# The statement that creates the view of `relation` without its personal columns. #}
{% macro public_view_statement(relation, node) -%}
    {%- set hidden = personal_columns(node) -%}
    {%- set names = [] -%}
    {%- for column in node.columns.values() if column.name | lower not in hidden -%}
        {%- do names.append(column.name) -%}
    {%- endfor -%}
    create or replace secure view {{ relation }}_public as select {{ names | join(", ") }} from {{ relation }}
{%- endmacro %}
