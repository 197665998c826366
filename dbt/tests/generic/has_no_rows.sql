{# Returns each row. #}
{% test has_no_rows(model) %}
select *
from {{ model }}
{% endtest %}
