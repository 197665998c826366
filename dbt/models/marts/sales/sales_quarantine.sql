with quarantined as (
    select * from {{ ref('stg_sales__quarantine') }}
),

order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
),

repeated as (
    select
        later.file_name,
        later.file_line,
        later.file_period,
        'order_number' as column_name,
        {{ dbt.concat([
            "'order_number: the order line is also in '",
            "earlier.file_name",
            "', line '",
            "cast(earlier.file_line as " ~ dbt.type_string() ~ ")",
        ]) }} as reason
    from order_lines as later
    inner join order_lines as earlier
        on
            later.order_number = earlier.order_number
            and later.order_line = earlier.order_line
            and earlier.occurrence = 1
    where later.occurrence > 1
)

select
    file_name,
    cast(file_line as bigint) as file_line,
    file_period,
    column_name,
    reason
from quarantined

union all

select
    file_name,
    cast(file_line as bigint) as file_line,
    file_period,
    column_name,
    reason
from repeated
