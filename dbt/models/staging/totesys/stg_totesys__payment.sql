with versions as (
    select
        *,
        row_number() over (partition by payment_id order by payment_record_id desc) as version_rank
    from {{ source('totesys', 'fact_payment') }}
),

deleted as (
    select row_id
    from {{ source('totesys_lake', 'deleted_row') }}
    where table_name = 'fact_payment'
),

current_rows as (
    select
        versions.payment_id,
        versions.created_date,
        versions.created_time,
        versions.last_updated_date,
        versions.last_updated_time,
        versions.transaction_id,
        versions.counterparty_id,
        versions.payment_amount,
        versions.currency_id,
        versions.payment_type_id,
        versions.paid,
        versions.payment_date
    from versions
    left join deleted on versions.payment_id = deleted.row_id
    where versions.version_rank = 1 and deleted.row_id is null
)

select * from current_rows
