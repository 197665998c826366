with source as (
    select * from {{ source('sales', 'order_lines') }}
),

renamed as (
    select
        file_key,
        file_name,
        period as file_period,
        line as file_line,
        order_number,
        order_line,
        order_date,
        ship_date,
        status,
        quantity,
        cast(unit_price as numeric(12, 2)) as unit_price,
        product_code,
        product_line,
        cast(list_price as numeric(12, 2)) as list_price,
        customer_name,
        contact_name,
        phone,
        address,
        city,
        state,
        postal_code,
        country,
        territory,
        deal_size,
        row_number() over (
            partition by order_number, order_line
            order by period, file_key, line
        ) as occurrence
    from source
)

select * from renamed
