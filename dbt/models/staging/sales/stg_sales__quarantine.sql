with source as (
    select * from {{ source('sales', 'quarantine') }}
),

renamed as (
    select
        file_key,
        file_name,
        period as file_period,
        line as file_line,
        column_name,
        reason
    from source
)

select * from renamed
