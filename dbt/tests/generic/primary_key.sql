{#
  Fails with each key that is missing or stands in more than one row. One query for a key of any number of
  columns. On a source, `where` leaves deleted rows out.
#}
{% test primary_key(model, columns) %}

select
    {{ columns | join(", ") }},
    count(*) as key_rows
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1 or {{ columns | join(" is null or ") }} is null

{% endtest %}
