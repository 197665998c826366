{#
  The columns that every state history has besides its attributes: `is_deleted`, `is_current`, `change_lsn`,
  `committed_at`, and `valid_to`, the commit time of the next state of the same `key` (null for the current state).
#}
{% macro state_columns(key) -%}
    _ab_cdc_deleted_at is not null as is_deleted,
        is_current,
        cast(_ab_cdc_lsn as bigint) as change_lsn,
        cast(_ab_cdc_updated_at as timestamp) as committed_at,
        coalesce(
            lead(cast(_ab_cdc_updated_at as timestamp)) over (
                partition by {{ key }}
                order by case when is_current then 1 else 0 end, cast(_ab_cdc_updated_at as timestamp), _ab_cdc_lsn
            ),
            case when not is_current then cast(_ab_cdc_updated_at as timestamp) end
        ) as valid_to
{%- endmacro %}


{# Condition: the validity periods of the states `one` and `other` overlap. #}
{% macro states_overlap(one, other) -%}
    ({{ one }}.valid_to > {{ other }}.committed_at or {{ one }}.valid_to is null)
        and ({{ other }}.valid_to > {{ one }}.committed_at or {{ other }}.valid_to is null)
{%- endmacro %}


{#
  `is_current`, `change_lsn` and `committed_at` of a state combined from the rows `one` and `other`: the values of the
  later change. `other` may be missing.
#}
{% macro combined_state_columns(one, other) -%}
    {{ one }}.is_current and coalesce({{ other }}.is_current, true) as is_current,
    greatest({{ one }}.change_lsn, coalesce({{ other }}.change_lsn, {{ one }}.change_lsn)) as change_lsn,
    greatest({{ one }}.committed_at, coalesce({{ other }}.committed_at, {{ one }}.committed_at)) as committed_at
{%- endmacro %}


{# All states of the address columns that are part of a history. One row per address and commit. #}
{% macro address_state_history() -%}
    select
        cast(address_id as integer) as address_id,
        {{ null_if_blank('district') }} as district,
        cast(city_id as integer) as city_id,
        {{ state_columns('address_id') }}
    from (
        {{ raw_state_history('address', ['address_id', 'district', 'city_id'], past_states_relation('address')) }}
    ) as address_rows
{%- endmacro %}
