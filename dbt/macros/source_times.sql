{#
  A time or day of the source as a time of the chain's clock, without a zone. A timestamp with time zone is converted to
  the zone of the chain; one without is taken to be in that zone already.
#}
{% macro source_time(column) -%}
    {{ adapter.dispatch("source_time", "dvd_rental")(column) }}
{%- endmacro %}


{# The zone of the chain's clock: a setting of the environment, which a variable of the project cannot read. #}
{% macro chain_time_zone() -%}
    {{ env_var("DVD_RENTAL_TIME_ZONE", "UTC") }}
{%- endmacro %}


{# The type is tested in the query, since the models are compiled without a look at the source. #}
{% macro duckdb__source_time(column) -%}
    case
            when typeof({{ column }}) = 'TIMESTAMP WITH TIME ZONE'
                then timezone('{{ chain_time_zone() }}', cast({{ column }} as timestamp with time zone))
            else cast({{ column }} as timestamp)
        end
{%- endmacro %}


{# Other warehouses have no replicated tables. #}
{% macro default__source_time(column) -%}
    cast({{ column }} as timestamp)
{%- endmacro %}


{# Airbyte stores times with a zone in UTC. #}
{% macro snowflake__source_time(column) -%}
    {%- if chain_time_zone() == "UTC" -%}
        cast({{ column }} as timestamp)
    {%- else -%}
        case
            when system$typeof({{ column }}) like 'TIMESTAMP_TZ%'
                then cast(convert_timezone('{{ chain_time_zone() }}', cast({{ column }} as timestamp_tz)) as timestamp)
            else cast({{ column }} as timestamp)
        end
    {%- endif -%}
{%- endmacro %}


{#
  Condition: `time`, of a row that was committed at `committed_at`, can be right: it is not before
  `var("earliest_event")`, and not after the row was written. The day of grace covers zones and clocks that differ.
#}
{% macro is_plausible(time, committed_at) -%}
    {{ time }} >= cast('{{ var("earliest_event") }}' as timestamp)
    and {{ time }} <= {{ dbt.dateadd("day", 1, committed_at) }}
{%- endmacro %}


{# `time` if it is plausible, else null: no model computes with other times; `implausible_times` names them. #}
{% macro plausible_time(time, committed_at) -%}
    case when {{ is_plausible(time, committed_at) }} then {{ time }} end
{%- endmacro %}


{# The key of a day in `dim_date`: the unknown member's for null. #}
{% macro date_key(day) -%}
    coalesce(
        cast(
            extract(year from {{ day }}) * 10000 + extract(month from {{ day }}) * 100 + extract(day from {{ day }})
            as integer
        ),
        {{ unknown_date_key() }}
    )
{%- endmacro %}


{# Key of the unknown member of `dim_date`. #}
{% macro unknown_date_key() -%}
    -1
{%- endmacro %}
