with versions as (
    select
        *,
        row_number() over (partition by sales_order_id order by sales_record_id desc) as version_rank
    from {{ source('totesys', 'fact_sales_order') }}
),

deleted as (
    select row_id
    from {{ source('totesys_lake', 'deleted_row') }}
    where table_name = 'fact_sales_order'
),

current_rows as (
    select
        versions.sales_order_id,
        versions.created_date,
        versions.created_time,
        versions.last_updated_date,
        versions.last_updated_time,
        versions.sales_staff_id,
        versions.counterparty_id,
        versions.units_sold,
        versions.unit_price,
        versions.currency_id,
        versions.design_id,
        versions.agreed_payment_date,
        versions.agreed_delivery_date,
        versions.agreed_delivery_location_id
    from versions
    left join deleted on versions.sales_order_id = deleted.row_id
    where versions.version_rank = 1 and deleted.row_id is null
)

select * from current_rows
