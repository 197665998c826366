{#
  Post-hook in Snowflake: sets a masking policy on the columns with `pii: true` in their meta, so that only the role
  PII_READER and dbt's own role see the values. It runs after each build because a table that is created again has
  no policies. `dvd-rental snowflake apply` creates the policy.
#}
{% macro mask_personal_columns() -%}
    {%- if execute and target.type == "snowflake" -%}
        {{ masking_statement(this, model) }}
    {%- endif -%}
{%- endmacro %}


{# The statement that sets the policy on the personal columns of `relation`; empty when it has none. #}
{% macro masking_statement(relation, node) -%}
    {%- set kind = "view" if node.config.materialized == "view" else "table" -%}
    {%- set policy = personal_text_policy() -%}
    {%- set changes = [] -%}
    {%- for column in node.columns.values() if column.config.meta.pii -%}
        {%- do changes.append("column " ~ column.name ~ " set masking policy " ~ policy ~ " force") -%}
    {%- endfor -%}
    {{ "alter " ~ kind ~ " " ~ relation ~ " modify " ~ (changes | join(", ")) if changes }}
{%- endmacro %}


{# The name of the masking policy. #}
{% macro personal_text_policy() -%}
    {{- target.database }}.governance.personal_text
{%- endmacro %}
