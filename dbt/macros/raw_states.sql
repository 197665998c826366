{#
  Every state of the rows of a replicated table that the raw layer knows: those of now, deleted rows included, and
  those that were overwritten, where the replication keeps them (`past`, see `past_relation`).
#}
{% macro raw_states(table, columns, past) -%}
    {%- set listed = columns + ["_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at"] -%}
    select
        {{ listed | join(", ") }},
        true as is_current
    from {{ source("dvd_rental", table) }}
    {%- if past %}

        union all

        select
            {{ listed | join(", ") }},
            false as is_current
        from {{ past }}
    {%- endif %}
{%- endmacro %}


{#
  Where the past states of a table stand, or nothing. The embedded replication keeps them; Airbyte's final tables hold
  one state a row, and of several changes between two syncs the last.
#}
{% macro past_relation(table) -%}
    {%- do return(adapter.dispatch("past_relation", "dvd_rental")(table)) -%}
{%- endmacro %}


{% macro default__past_relation(table) -%}
    {%- do return(none) -%}
{%- endmacro %}


{% macro duckdb__past_relation(table) -%}
    {%- if execute and flags.INTROSPECT is not sameas false -%}
        {%- do return(adapter.get_relation(target.database, "dvd_rental_past", table)) -%}
    {%- endif -%}
    {%- do return(none) -%}
{%- endmacro %}
