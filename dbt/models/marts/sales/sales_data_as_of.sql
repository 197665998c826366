select cast(max(order_date) as timestamp) as as_of
from {{ ref('fct_sales') }}
