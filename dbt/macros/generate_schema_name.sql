{#
  Overrides dbt's macro. A model's schema is its layer: staging, snapshots, marts or reports. In the target `branch`,
  the schema of the target, which names the branch, is the prefix.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set layer = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {%- if target.name == "branch" and custom_schema_name -%}
        {%- set branch = modules.re.sub("[^a-z0-9]+", "_", target.schema | lower) -%}
        {{ branch }}_{{ layer }}
    {%- else -%}
        {{ layer }}
    {%- endif -%}
{%- endmacro %}
