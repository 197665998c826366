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
  The CTE `living`: the versions in which the thing lives, with `version_key`, `valid_from` and `valid_to`.

  A version begins with a state whose content (`columns`) differs from the one before. States come from the snapshot,
  which remembers what earlier builds saw, and from the raw layer, which may know those between two builds.

  What came first holds from the beginning of time: nobody saw what was before, and facts are older than the first
  sync. An end is the next beginning, so versions neither overlap nor leave a gap, unless one is a deletion, which is
  left out here, or the row vanished without a trace. The state of now is the last even where the source's clock was
  set back; versions that would end before they begin are for the model to leave out.
#}
{% macro living_versions(versions, states, key, columns) -%}
    {%- set content = columns + ["is_deleted"] -%}
    known_states as (
        select
            {{ key }},
            {{ content | join(", ") }},
            change_lsn,
            dbt_valid_from as committed_at,
            dbt_scd_id as version_key,
            dbt_valid_to as ended_at,
            0 as is_last
        from {{ versions }}

        union all

        select
            {{ key }},
            {{ content | join(", ") }},
            change_lsn,
            committed_at,
            {{ dbt.snapshot_hash_arguments([key, "committed_at"] + content) }} as version_key,
            cast(null as timestamp) as ended_at,
            case when is_current then 1 else 0 end as is_last
        from {{ states }}
    ),

    distinct_states as (
        select
            {{ key }},
            {{ content | join(", ") }},
            committed_at,
            version_key,
            {{ dbt.snapshot_hash_arguments(content) }} as content_key,
            max(change_lsn) as change_lsn,
            max(ended_at) as ended_at,
            max(is_last) as is_last
        from known_states
        group by {{ key }}, {{ content | join(", ") }}, committed_at, version_key
    ),

    ordered as (
        select
            *,
            row_number() over (
                partition by {{ key }}
                order by is_last, committed_at, change_lsn, version_key
            ) as state_number
        from distinct_states
    ),

    compared as (
        select
            *,
            lag(content_key) over (partition by {{ key }} order by state_number) as content_before,
            lag(ended_at) over (partition by {{ key }} order by state_number) as ended_before
        from ordered
    ),

    numbered as (
        select
            *,
            sum(case when content_before = content_key and coalesce(ended_before >= committed_at, true) then 0 else 1 end)
                over (partition by {{ key }} order by state_number rows unbounded preceding)
                as version_number
        from compared
    ),

    ended as (
        select
            *,
            row_number() over (partition by {{ key }}, version_number order by state_number) as state_of_version,
            max(ended_at) over (partition by {{ key }}, version_number) as version_ended_at,
            max(is_last) over (partition by {{ key }}, version_number) as is_last_version
        from numbered
    ),

    followed as (
        select
            *,
            min(committed_at) over (
                partition by {{ key }}
                order by version_number
                rows between 1 following and unbounded following
            ) as next_valid_from
        from ended
        where state_of_version = 1
    ),

    living as (
        select
            *,
            case
                when version_number = 1 then cast('1900-01-01' as timestamp)
                else committed_at
            end as valid_from,
            case
                when is_last_version = 1 then cast(null as timestamp)
                when next_valid_from is null then coalesce(version_ended_at, committed_at)
                when version_ended_at < next_valid_from then version_ended_at
                else next_valid_from
            end as valid_to
        from followed
        where not is_deleted
    )
{%- endmacro %}


{#
  In an incremental build, the keys of stored rows whose version of `thing` does not hold at their `moment` any more; a
  row of the unknown key may have found its version.
#}
{% macro rows_of_other_versions(key, thing, moment) -%}
    select stored.{{ key }}
    from {{ this }} as stored
    left join {{ ref('dim_' ~ thing ~ '_history') }} as history on stored.{{ thing }}_key = history.{{ thing }}_key
    where
        history.{{ thing }}_key is null
        or history.{{ thing }}_key = {{ unknown_key() }}
        or not ({{ valid_at('history', 'stored.' ~ moment) }})
{%- endmacro %}
