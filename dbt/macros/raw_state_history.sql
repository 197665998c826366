{#
  All states of the rows of the raw table `table` that the raw layer has: the current ones, including deleted rows, and,
  where the replication keeps them, the overwritten ones in the relation `past` (see `past_states_relation`).
  One row per primary key and commit, with `columns`, the change capture columns and `is_current`.
#}
{% macro raw_state_history(table, columns, past) -%}
    {%- set selected = columns + ["_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at"] -%}
    select
        {{ selected | join(", ") }},
        true as is_current
    from {{ source("dvd_rental", table) }}
    {%- if past %}

        union all

        select
            {{ selected | join(", ") }},
            false as is_current
        from {{ past }}
    {%- endif %}
{%- endmacro %}


{#
  The relation with the overwritten states of the raw table `table`, or none. The embedded replication writes it.
  Airbyte's final tables keep one state per row: of several changes between two syncs, the last.
#}
{% macro past_states_relation(table) -%}
    {%- do return(adapter.dispatch("past_states_relation", "dvd_rental")(table)) -%}
{%- endmacro %}


{% macro default__past_states_relation(table) -%}
    {%- do return(none) -%}
{%- endmacro %}


{% macro duckdb__past_states_relation(table) -%}
    {%- if execute and flags.INTROSPECT is not sameas false -%}
        {%- do return(adapter.get_relation(target.database, "dvd_rental_past", table)) -%}
    {%- endif -%}
    {%- do return(none) -%}
{%- endmacro %}
