with payments as (
    select * from {{ ref('totesys_payments') }}
),

-- The last day in the data, so that the report does not change while the data do not.
data_day as (
    select max(last_updated_date) as last_day from payments
),

due as (
    select
        payments.*,
        case when payments.payment_date < data_day.last_day then 1 else 0 end as is_overdue
    from payments
    cross join data_day
    where not payments.paid
)

select
    counterparty_id,
    counterparty_name,
    payment_type_name,
    currency_code,
    cast(count(*) as bigint) as payments,
    cast(sum(payment_amount) as numeric(18, 2)) as amount,
    min(payment_date) as first_due_date,
    cast(sum(is_overdue) as bigint) as overdue_payments,
    cast(sum(is_overdue * payment_amount) as numeric(18, 2)) as overdue_amount
from due
group by counterparty_id, counterparty_name, payment_type_name, currency_code
