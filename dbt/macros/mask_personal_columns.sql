{#
  After a build in Snowflake: it shows the columns with `pii: true` in their meta to those alone who hold the role
  PII_READER. A table that is made anew has lost its policies, which is why this runs after each build. The policy
  itself is made with the account, by `dvd-rental snowflake apply`.
#}
{% macro mask_personal_columns() -%}
    {%- if execute and target.type == "snowflake" -%}
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
