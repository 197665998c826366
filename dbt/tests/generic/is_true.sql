{# Returns each row whose value is false; null passes. #}
{% test is_true(model, column_name) %}
select *
from {{ model }}
where not {{ column_name }}
{% endtest %}
