{{ config(meta={
    "description": "Each customer in dim_customer has a current version, and no other customer has one",
    "dagster": {"ref": {"name": "dim_customer_history"}}
}) }}

with versions as (
    select customer_id
    from {{ ref('dim_customer_history') }}
    where is_current and customer_key != {{ unknown_member_key() }}
),

current_rows as (
    select customer_id
    from {{ ref('dim_customer') }}
)

select
    versions.customer_id as version_of,
    current_rows.customer_id
from versions
full outer join current_rows on versions.customer_id = current_rows.customer_id
where versions.customer_id is null or current_rows.customer_id is null
