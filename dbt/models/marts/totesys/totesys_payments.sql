with payments as (
    select * from {{ ref('stg_totesys__payment') }}
)

select
    payments.payment_id,
    payments.last_updated_date,
    payments.counterparty_id,
    cast(counterparties.counterparty_legal_name as varchar) as counterparty_name,
    cast(types.payment_type_name as varchar) as payment_type_name,
    cast(currencies.currency_code as varchar) as currency_code,
    cast(payments.payment_amount as numeric(18, 2)) as payment_amount,
    payments.payment_date,
    payments.paid
from payments
inner join {{ source('totesys', 'dim_counterparty') }} as counterparties
    on payments.counterparty_id = counterparties.counterparty_id
inner join {{ source('totesys', 'dim_payment_type') }} as types
    on payments.payment_type_id = types.payment_type_id
inner join {{ source('totesys', 'dim_currency') }} as currencies
    on payments.currency_id = currencies.currency_id
