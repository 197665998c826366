{{ config(meta={
    "description": "Every store of now has one current version, and no other has",
    "dagster": {"ref": {"name": "dim_store_history"}}
}) }}

with versions as (
    select store_id
    from {{ ref('dim_store_history') }}
    where is_current and store_key != {{ unknown_key() }}
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
