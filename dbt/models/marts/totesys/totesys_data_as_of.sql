with versions as (
    select last_updated_date from {{ source('totesys', 'fact_sales_order') }}
    union all
    select last_updated_date from {{ source('totesys', 'fact_payment') }}
    union all
    select last_updated_date from {{ source('totesys', 'fact_purchase_orders') }}
)

select cast(max(last_updated_date) as timestamp) as as_of
from versions
