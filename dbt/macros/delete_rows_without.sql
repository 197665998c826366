{#
  After an incremental build: removes rows whose key is no longer in `parent`. A merge adds and changes, never
  removes, and a deleted row may have left no tombstone.
#}
{% macro delete_rows_without(parent, key) -%}
    {% if execute and is_incremental() -%}
        delete from {{ this }}
        where {{ key }} not in (select {{ key }} from {{ ref(parent) }} where {{ key }} is not null)
    {%- endif %}
{%- endmacro %}
