{#
  CTEs that sum the relation `events` (`event_at`, `rentals`, `payments`, `revenue`) by `keys` and period; the
  last one, `period_sums`, has `previous_revenue` of the same number of days before, null where the payments
  do not reach back as far. One row per key and period with rentals or payments. `as_of` is a CTE with the
  data timestamp.
#}
{% macro period_sums(events, keys) -%}
    {%- set periods = [
        (1, "last 30 days", 30), (2, "last 90 days", 90), (3, "last 365 days", 365), (4, "all time", none),
    ] -%}
    first_payment as (
        select min(event_at) as paid_at
        from {{ events }}
        where payments = 1
    ),

    {% for order, name, days in periods -%}
        sums_{{ order }} as (
            select
                {{ keys | join(", ") }},
                {{ order }} as period_order,
                '{{ name }}' as period,
                {% if days -%}
                    sum(
                        case
                            when event_at > {{ dbt.dateadd('day', -days, 'as_of.as_of') }}
                                then rentals
                            else 0
                        end
                    ) as rentals,
                    sum(
                        case
                            when event_at > {{ dbt.dateadd('day', -days, 'as_of.as_of') }}
                                then payments
                            else 0
                        end
                    ) as payments,
                    sum(
                        case
                            when event_at > {{ dbt.dateadd('day', -days, 'as_of.as_of') }}
                                then revenue
                            else 0
                        end
                    ) as revenue,
                    case
                        when
                            min(first_payment.paid_at)
                            <= min({{ dbt.dateadd('day', -2 * days, 'as_of.as_of') }})
                            then sum(
                                case
                                    when event_at <= {{ dbt.dateadd('day', -days, 'as_of.as_of') }} then revenue
                                    else 0
                                end
                            )
                    end as previous_revenue
                {%- else -%}
                    sum(rentals) as rentals,
                    sum(payments) as payments,
                    sum(revenue) as revenue,
                    null as previous_revenue
        {%- endif %}
            from {{ events }}
            cross join as_of
            cross join first_payment
            {% if days -%}
                where
                    event_at > {{ dbt.dateadd('day', -2 * days, 'as_of.as_of') }}
                    and event_at <= as_of.as_of
            {% endif -%}
    group by {{ keys | join(", ") }}
        ),

    {% endfor -%}
    period_sums as (
        {% for order, name, days in periods -%}
        select * from sums_{{ order }}
            where rentals > 0 or payments > 0
            {{ "union all" if not loop.last }}
    {% endfor -%}
    )
{%- endmacro %}


{# The columns of a ranking after its keys. `key` breaks ties. #}
{% macro ranking_columns(key) -%}
    cast(period_sums.period_order as integer) as period_order,
    cast(period_sums.rentals as bigint) as rentals,
    cast(period_sums.payments as bigint) as payments,
    cast(period_sums.revenue as numeric(18, 2)) as revenue,
    cast(period_sums.previous_revenue as numeric(18, 2)) as previous_revenue,
    {{ growth_pct("period_sums.revenue", "period_sums.previous_revenue") }} as growth_pct,
    cast(
        row_number() over (
            partition by period_sums.period_order order by period_sums.rentals desc, {{ key }} asc
        ) as integer
    ) as rental_rank,
    cast(
        row_number() over (
            partition by period_sums.period_order order by period_sums.revenue desc, {{ key }} asc
        ) as integer
    ) as revenue_rank
{%- endmacro %}
