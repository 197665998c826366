{{ config(meta={
    "description": "Each customer is whom the source's own view customer_list names, as the marts know it",
    "dagster": {"ref": {"name": "customer_360"}}
}) }}

with expected as (
    {{ listed_customers(ref('dim_customer')) }}
),

report as (
    {{ listed_customers(ref('customer_360')) }}
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
