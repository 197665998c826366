{#
  Fails when the sums of a report differ from the totals of the facts. Separate tests compare the facts with the source.
  A report is not compared with the raw tables, because the next sync may already have changed them.

  `rentals`, `payments`, `revenue`: the column or expression to sum; none if the report does not have it.
  `known`: a column of both facts; the report leaves out events whose value is null. `day` stands for the day of the event.
  `row_for_each`: the model for each of whose rows the report must have a row; none if there is no such model.
#}
{% test conserves_totals(model, rentals=none, payments=none, revenue=none, row_for_each=none, known=none) %}

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
    where {{ ("rented_on" if known == "day" else known) ~ " is not null" if known else "true" }}
),

source_payments as (
    select
        count(*) as payments,
        coalesce(sum(amount), 0) as revenue
    from {{ ref('fct_payment') }}
    where {{ ("paid_on" if known == "day" else known) ~ " is not null" if known else "true" }}
),

source_rows as (
    {{ "select count(*) as report_rows from " ~ row_for_each if row_for_each else "select null as report_rows" }}
)

-- Totals that the report does not have are null, and null is not a difference.
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
