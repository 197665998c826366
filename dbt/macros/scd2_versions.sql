{# Surrogate key of the unknown member, which facts reference when no version matches. #}
{% macro unknown_member_key() -%}
    'unknown'
{%- endmacro %}


{# Condition: the version of `history` is valid at `moment`. `valid_from` is inclusive, `valid_to` exclusive. #}
{% macro valid_at(history, moment) -%}
    {{ history }}.valid_from <= {{ moment }}
    and ({{ history }}.valid_to > {{ moment }} or {{ history }}.valid_to is null)
{%- endmacro %}


{#
  CTEs that compute the versions of a slowly changing dimension of type 2; the last one, `valid_versions`, has
  `version_key`, `valid_from` and `valid_to`. One row per `key` and version.

  `snapshot_states` is the snapshot, with the states seen by earlier builds; `raw_states` is the state history of the
  raw layer, which may have states between two builds. A version begins with a state whose `columns` differ from those
  of the state before.

  The first version is valid from 1900-01-01, because facts are older than the first sync. A version ends where the next
  one begins, so versions neither overlap nor leave gaps. Exceptions are deletions, whose versions are left out here, and
  rows that disappeared without a tombstone, which end at the time the snapshot noticed. The current state is the last
  one even if the source's clock was set back; the calling model removes versions that end before they begin.
#}
{% macro scd2_versions(snapshot_states, raw_states, key, columns) -%}
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
        from {{ snapshot_states }}

        union all

        select
            {{ key }},
            {{ content | join(", ") }},
            change_lsn,
            committed_at,
            {{ dbt.snapshot_hash_arguments([key, "committed_at"] + content) }} as version_key,
            cast(null as timestamp) as ended_at,
            case when is_current then 1 else 0 end as is_last
        from {{ raw_states }}
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

    ordered_states as (
        select
            *,
            row_number() over (
                partition by {{ key }}
                order by is_last, committed_at, change_lsn, version_key
            ) as state_number
        from distinct_states
    ),

    states_with_previous as (
        select
            *,
            lag(content_key) over (partition by {{ key }} order by state_number) as previous_content,
            lag(ended_at) over (partition by {{ key }} order by state_number) as previous_ended_at
        from ordered_states
    ),

    states_with_version_number as (
        select
            *,
            sum(
                case
                    when previous_content = content_key and coalesce(previous_ended_at >= committed_at, true) then 0
                    else 1
                end
            ) over (
                partition by {{ key }}
                order by state_number rows between unbounded preceding and current row
            ) as version_number
        from states_with_previous
    ),

    version_states as (
        select
            *,
            row_number() over (partition by {{ key }}, version_number order by state_number) as state_of_version,
            max(ended_at) over (partition by {{ key }}, version_number) as version_ended_at,
            max(is_last) over (partition by {{ key }}, version_number) as is_last_version
        from states_with_version_number
    ),

    version_starts as (
        select
            *,
            min(committed_at) over (
                partition by {{ key }}
                order by version_number desc
                rows between unbounded preceding and current row
            ) as earliest_from_here
        from version_states
        where state_of_version = 1
    ),

    version_starts_with_next as (
        select
            *,
            lead(earliest_from_here) over (partition by {{ key }} order by version_number) as next_valid_from
        from version_starts
    ),

    valid_versions as (
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
        from version_starts_with_next
        where not is_deleted
    )
{%- endmacro %}


{#
  For an incremental build: the values of `key` of the stored rows whose version of `dimension` is not valid at their
  `moment` any more, or whose `moment` is unknown, or which have the unknown member and may match a version now.
#}
{% macro rows_with_stale_key(key, dimension, moment) -%}
    select stored.{{ key }}
    from {{ this }} as stored
    left join {{ ref('dim_' ~ dimension ~ '_history') }} as history
        on stored.{{ dimension }}_key = history.{{ dimension }}_key
    where
        history.{{ dimension }}_key is null
        or history.{{ dimension }}_key = {{ unknown_member_key() }}
        or stored.{{ moment }} is null
        or not ({{ valid_at('history', 'stored.' ~ moment) }})
{%- endmacro %}
