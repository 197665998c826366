{# Returns the `key` of each row whose value is null. #}
{% test is_present(model, column_name, key) %}
select
    {{ key }},
    {{ column_name }}
from {{ model }}
where {{ column_name }} is null
{% endtest %}
