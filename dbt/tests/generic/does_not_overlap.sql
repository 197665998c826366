{#
  Returns each row whose period overlaps the next period of the same `key`. `starts` and `ends` are the columns of the
  period; a null end is unbounded.
#}
{% test does_not_overlap(model, key, starts, ends) %}

with spans as (
    select
        *,
        lead({{ starts }}) over (partition by {{ key }} order by {{ starts }}, {{ ends }}) as next_start
    from {{ model }}
)

select *
from spans
where next_start < {{ ends }} or (next_start is not null and {{ ends }} is null)

{% endtest %}
