{#
  CTEs that compute the versions of a slowly changing dimension of type 2 from dated observations, such as the list price
  of a product on each order line; the last one, `observed_versions`, has `version_key`, `valid_from`, `valid_to` (null for
  the current version) and `is_current`. One row per `key` and version; both are dates, `valid_to` is exclusive.

  `observations` is a relation with `key`, `columns` and the day `observed_on`; of several observations of a day, the last
  in `tie_breaker` counts. A version begins on the first day with other values than the day before had. The first one is
  valid from 1900-01-01. The result depends on the observations alone, not on the order in which they were loaded: a late
  file inserts its versions where they belong.
#}
{% macro observed_versions(observations, key, columns, observed_on, tie_breaker) -%}
    ranked_observations as (
        select
            {{ key }},
            {{ columns | join(", ") }},
            {{ observed_on }} as observed_on,
            {{ dbt.snapshot_hash_arguments(columns) }} as content_key,
            row_number() over (
                partition by {{ key }}, {{ observed_on }}
                order by {{ tie_breaker | join(" desc, ") }} desc
            ) as observation_number
        from {{ observations }}
    ),

    daily_states as (
        select
            *,
            lag(content_key) over (partition by {{ key }} order by observed_on) as previous_content
        from ranked_observations
        where observation_number = 1
    ),

    version_starts as (
        select
            *,
            row_number() over (partition by {{ key }} order by observed_on) as version_number,
            lead(observed_on) over (partition by {{ key }} order by observed_on) as valid_to
        from daily_states
        where previous_content is null or previous_content != content_key
    ),

    observed_versions as (
        select
            {{ dbt.hash(dbt.concat([key, "'|'", "cast(observed_on as " ~ dbt.type_string() ~ ")"])) }} as version_key,
            {{ key }},
            {{ columns | join(", ") }},
            case when version_number = 1 then cast('1900-01-01' as date) else observed_on end as valid_from,
            valid_to,
            valid_to is null as is_current
        from version_starts
    )
{%- endmacro %}
