{# Returns each version of a type 2 dimension that does not end where the next one of the same `key` begins. #}
{% test has_no_gap(model, key) %}

with versions as (
    select
        *,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as next_valid_from
    from {{ model }}
)

select *
from versions
where next_valid_from != valid_to or (next_valid_from is not null and valid_to is null)

{% endtest %}
