{#
  Post-hook of an incremental model: deletes the rows whose `key` does not exist in the model `parent`. An incremental
  build inserts and replaces rows but deletes none, and a row deleted in the source may have left no tombstone. Rows are
  counted before the hooks of a model: it has to log their number again, after this one.
#}
{% macro delete_rows_not_in(parent, key) -%}
    {% if execute and is_incremental() -%}
        delete from {{ this }}
        where {{ key }} not in (select {{ key }} from {{ ref(parent) }} where {{ key }} is not null)
    {%- endif %}
{%- endmacro %}
