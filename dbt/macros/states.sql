{#
  What every state of a row has, beside its content: whether it is a deletion, its place among the changes, and until
  when it held (null: it still does).
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
        ) as held_to
{%- endmacro %}


{# Whether two states held at the same time for a while. #}
{% macro states_overlap(one, other) -%}
    ({{ one }}.held_to > {{ other }}.committed_at or {{ one }}.held_to is null)
        and ({{ other }}.held_to > {{ one }}.committed_at or {{ other }}.held_to is null)
{%- endmacro %}


{# The place among the changes of a state that two rows make together: that of the later one. #}
{% macro joint_state(one, other) -%}
    {{ one }}.is_current and coalesce({{ other }}.is_current, true) as is_current,
    greatest({{ one }}.change_lsn, coalesce({{ other }}.change_lsn, {{ one }}.change_lsn)) as change_lsn,
    greatest({{ one }}.committed_at, coalesce({{ other }}.committed_at, {{ one }}.committed_at)) as committed_at
{%- endmacro %}


{# Every state of an address, as far as histories tell of it. One row an address and commit. #}
{% macro address_states() -%}
    select
        cast(address_id as integer) as address_id,
        {{ missing_if_blank('district') }} as district,
        cast(city_id as integer) as city_id,
        {{ state_columns('address_id') }}
    from (
        {{ raw_states('address', ['address_id', 'district', 'city_id'], past_relation('address')) }}
    ) as address_rows
{%- endmacro %}
