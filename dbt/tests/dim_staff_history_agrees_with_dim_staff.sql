{{ config(meta={
    "description": "Each staff member in dim_staff has a current version, and no other staff member has one",
    "dagster": {"ref": {"name": "dim_staff_history"}}
}) }}

with versions as (
    select staff_id
    from {{ ref('dim_staff_history') }}
    where is_current and staff_key != {{ unknown_member_key() }}
),

current_rows as (
    select staff_id
    from {{ ref('dim_staff') }}
)

select
    versions.staff_id as version_of,
    current_rows.staff_id
from versions
full outer join current_rows on versions.staff_id = current_rows.staff_id
where versions.staff_id is null or current_rows.staff_id is null
