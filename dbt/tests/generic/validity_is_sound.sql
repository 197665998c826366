{#
  Returns each version of a type 2 dimension that is invalid: its period is empty, it overlaps another version of the same
  `key` (a null `valid_to` is unbounded, so two current versions overlap), `is_current` contradicts `valid_to`, or the
  first version of the key does not start in 1900.
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
