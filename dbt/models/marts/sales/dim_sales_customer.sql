with order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
    where occurrence = 1
),

{{ observed_versions(
    "order_lines",
    "customer_name",
    ["contact_name", "phone", "address", "city", "state", "postal_code", "country", "territory"],
    "order_date",
    ["order_number", "order_line"]
) }}

select
    version_key as customer_version_key,
    customer_name,
    contact_name,
    phone,
    address,
    city,
    state,
    postal_code,
    country,
    territory,
    valid_from,
    valid_to,
    is_current
from observed_versions
