{{ config(meta={
    "description": "Each store in dim_store has a current version, and no other store has one",
    "dagster": {"ref": {"name": "dim_store_history"}}
}) }}

with versions as (
    select store_id
    from {{ ref('dim_store_history') }}
    where is_current and store_key != {{ unknown_member_key() }}
),

current_rows as (
    select store_id
    from {{ ref('dim_store') }}
)

select
    versions.store_id as version_of,
    current_rows.store_id
from versions
full outer join current_rows on versions.store_id = current_rows.store_id
where versions.store_id is null or current_rows.store_id is null
