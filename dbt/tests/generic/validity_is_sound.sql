{#
  Fails with each version of a history that is empty, or that another version of the same key overlaps. An open end
  reaches to the end of time, so two current versions overlap too.
#}
{% test validity_is_sound(model, key) %}

with versions as (
    select
        {{ key }},
        valid_from,
        valid_to,
        is_current,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as next_valid_from,
        row_number() over (partition by {{ key }} order by valid_from) as version_number,
        min(valid_from) over (partition by {{ key }}) as first_valid_from
    from {{ model }}
)

select *
from versions
where
    valid_to <= valid_from
    or next_valid_from < valid_to
    or (next_valid_from is not null and valid_to is null)
    or is_current != (valid_to is null)
    or first_valid_from > cast('1900-01-01' as timestamp)

{% endtest %}
