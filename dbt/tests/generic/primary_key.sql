{#
  Returns each key that is duplicated or null. `columns` are the columns of the key. On a source, the config `where`
  excludes deleted rows.
#}
{% test primary_key(model, columns) %}

select
    {{ columns | join(", ") }},
    count(*) as key_rows
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1 or {{ columns | join(" is null or ") }} is null

{% endtest %}
