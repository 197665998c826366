with order_lines as (
    select * from {{ ref('stg_sales__order_lines') }}
    where occurrence = 1
)

select distinct
    {{ dbt.hash(dbt.concat(["territory", "'|'", "country"])) }} as territory_key,
    territory,
    country
from order_lines
