{#
  Fails with each row that begins before the one before it, of the same key, has ended; an open end is the end of
  time.
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
