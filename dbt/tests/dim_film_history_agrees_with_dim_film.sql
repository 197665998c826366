{{ config(meta={
    "description": "Each film in dim_film has a current version, and no other film has one",
    "dagster": {"ref": {"name": "dim_film_history"}}
}) }}

with versions as (
    select film_id
    from {{ ref('dim_film_history') }}
    where is_current and film_key != {{ unknown_member_key() }}
),

current_rows as (
    select film_id
    from {{ ref('dim_film') }}
)

select
    versions.film_id as version_of,
    current_rows.film_id
from versions
full outer join current_rows on versions.film_id = current_rows.film_id
where versions.film_id is null or current_rows.film_id is null
