{# The key of the row, in each history, that facts join when theirs is missing. #}
{% macro unknown_key() -%}
    'unknown'
{%- endmacro %}


{#
  Whether a version of `history` held at `moment`: from its first instant, to just before the first of the next.
#}
{% macro valid_at(history, moment) -%}
    {{ history }}.valid_from <= {{ moment }}
    and ({{ history }}.valid_to > {{ moment }} or {{ history }}.valid_to is null)
{%- endmacro %}


{#
  The CTE `living`: the rows of `versions` in which the thing lives, with `valid_from` and `valid_to`.

  What came first holds from the beginning of time: nobody saw what was before, and facts are older than the first
  sync. An end is the next beginning, so versions neither overlap nor leave a gap, unless one is a deletion, which
  is left out here. The state that the snapshot holds open is the last even where the source's clock was set back;
  versions that would end before they begin are for the model to leave out.
#}
{% macro living_versions(versions, key) -%}
    ordered as (
        select
            *,
            row_number() over (
                partition by {{ key }}
                order by case when dbt_valid_to is null then 1 else 0 end, dbt_valid_from, change_lsn
            ) as state_number
        from {{ versions }}
    ),

    followed as (
        select
            *,
            min(dbt_valid_from) over (
                partition by {{ key }}
                order by state_number
                rows between 1 following and unbounded following
            ) as next_valid_from
        from ordered
    ),

    living as (
        select
            *,
            case
                when row_number() over (partition by {{ key }} order by state_number) = 1
                    then cast('1900-01-01' as timestamp)
                else dbt_valid_from
            end as valid_from,
            case
                when next_valid_from is null or dbt_valid_to < next_valid_from then dbt_valid_to
                else next_valid_from
            end as valid_to
        from followed
        where not is_deleted
    )
{%- endmacro %}


{#
  In an incremental build, the keys of stored rows whose version of `thing` no longer holds at their `moment`. A
  version never changes its content and never opens again, so only closed ones are looked at; a row of the unknown
  key may have found its version.
#}
{% macro rows_of_other_versions(key, thing, moment) -%}
    select stored.{{ key }}
    from {{ this }} as stored
    inner join {{ ref(thing ~ '_versions') }} as versions on stored.{{ thing }}_key = versions.dbt_scd_id
    left join {{ ref('dim_' ~ thing ~ '_history') }} as history on versions.dbt_scd_id = history.{{ thing }}_key
    where
        versions.dbt_valid_to is not null
        and (history.{{ thing }}_key is null or not ({{ valid_at('history', 'stored.' ~ moment) }}))

    union distinct

    select {{ key }}
    from {{ this }}
    where {{ thing }}_key = {{ unknown_key() }}
{%- endmacro %}


{# Tells the graph that a model reads these snapshots: their refs stand where a first build does not come by. #}
{% macro know_versions(things) -%}
    {%- if not execute -%}
        {%- for thing in things -%}
            {%- do ref(thing ~ "_versions") -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
