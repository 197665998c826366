{{ config(meta={
    "description": "Each customer is whom the source's own view customer_list names, as the marts know it",
    "dagster": {"ref": {"name": "customer_360"}}
}) }}

-- The view: id, name, address, zip code, phone, city, country, notes ("active" or nothing) and store.
with expected as (
    select
        customer_id,
        customer_name,
        address,
        postal_code,
        phone,
        city,
        country,
        case when is_active then 'active' else '' end as notes,
        store_id
    from {{ ref('dim_customer') }}
),

report as (
    select
        customer_id,
        customer_name,
        address,
        postal_code,
        phone,
        city,
        country,
        case when is_active then 'active' else '' end as notes,
        store_id
    from {{ ref('customer_360') }}
),

missing as (
    select * from expected
    except
    select * from report
),

added as (
    select * from report
    except
    select * from expected
)

-- The keys alone: a failure must not show contact data.
select
    customer_id,
    'missing' as difference
from missing

union all

select
    customer_id,
    'added' as difference
from added
