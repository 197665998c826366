with order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
    where occurrence = 1
),

{{ observed_versions(
    "order_lines", "product_code", ["product_line", "list_price"], "order_date", ["order_number", "order_line"]
) }}

select
    version_key as product_version_key,
    product_code,
    product_line,
    list_price,
    valid_from,
    valid_to,
    is_current
from observed_versions
