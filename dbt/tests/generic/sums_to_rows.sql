{#
  Fails when the sum of the column `summed` differs from the number of rows of the model `of`, which the report divides.
#}
{% test sums_to_rows(model, summed, of) %}

with report as (
    select coalesce(sum({{ summed }}), 0) as total
    from {{ model }}
),

source_rows as (
    select count(*) as total
    from {{ of }}
)

select
    report.total,
    source_rows.total as expected_total
from report
cross join source_rows
where report.total != source_rows.total

{% endtest %}
