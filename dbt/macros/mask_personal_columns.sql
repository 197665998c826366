{#
  After a build in production: Snowflake shows the columns with `pii: true` in their meta to those alone who hold the
  role PII_READER. A table that is made anew has lost its policies, which is why this runs after each build.
#}
{% macro mask_personal_columns() -%}
    {%- if execute and target.type == "snowflake" and target.name == "production" -%}
        {{ masking_statement(this, model) }}
    {%- endif -%}
{%- endmacro %}


{% macro masking_statement(relation, node) -%}
    {%- set kind = "view" if node.config.materialized == "view" else "table" -%}
    {%- set policy = personal_text_policy() -%}
    {%- set changes = [] -%}
    {%- for column in node.columns.values() if column.config.meta.pii -%}
        {%- do changes.append("column " ~ column.name ~ " set masking policy " ~ policy ~ " force") -%}
    {%- endfor -%}
    {{ "alter " ~ kind ~ " " ~ relation ~ " modify " ~ (changes | join(", ")) if changes }}
{%- endmacro %}


{% macro personal_text_policy() -%}
    {{- target.database }}.governance.personal_text
{%- endmacro %}


{#
  Once, by an administrator: `dbt run-operation create_masking_policy --target production`. dbt's own role reads what
  it transforms, or it would build reports of masked values.
#}
{% macro create_masking_policy() -%}
    {% do run_query("create schema if not exists " ~ target.database ~ ".governance") %}
    {% do run_query(masking_policy()) %}
{%- endmacro %}


{% macro masking_policy() -%}
    create masking policy if not exists {{ personal_text_policy() }} as (value varchar) returns varchar ->
    case
        when is_role_in_session('PII_READER') or is_role_in_session('{{ target.role }}') then value
        else sha2(value)
    end
{%- endmacro %}
