{#
  Fails when the sums of a report are not those of the facts: as many rentals, payments and dollars, whatever way
  the report cuts them. That the facts hold what the source has is tested of them. A report is not compared with the
  raw tables: when the next sync has moved them on, it would fail for being minutes old.
  Each argument is the column or the expression to sum, null when the report does not show it.
  `row_for_each` is the model that the report has a row for each row of, those without any business included.
#}
{% test conserves_totals(model, rentals=none, payments=none, revenue=none, row_for_each=none) %}

with report as (
    select
        {{ "coalesce(sum(" ~ rentals ~ "), 0)" if rentals else "null" }} as rentals,
        {{ "coalesce(sum(" ~ payments ~ "), 0)" if payments else "null" }} as payments,
        {{ "coalesce(sum(" ~ revenue ~ "), 0)" if revenue else "null" }} as revenue,
        {{ "count(*)" if row_for_each else "null" }} as report_rows
    from {{ model }}
),

source_rentals as (
    select count(*) as rentals
    from {{ ref('fct_rental') }}
),

source_payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('fct_payment') }}
),

source_rows as (
    {{ "select count(*) as report_rows from " ~ row_for_each if row_for_each else "select null as report_rows" }}
)

-- What the report does not show is null, and compares as no difference.
select
    report.rentals,
    source_rentals.rentals as expected_rentals,
    report.payments,
    source_payments.payments as expected_payments,
    report.revenue,
    source_payments.revenue as expected_revenue,
    report.report_rows,
    source_rows.report_rows as expected_rows
from report
cross join source_rentals
cross join source_payments
cross join source_rows
where
    report.rentals != source_rentals.rentals
    or report.payments != source_payments.payments
    or report.revenue != source_payments.revenue
    or report.report_rows != source_rows.report_rows

{% endtest %}
