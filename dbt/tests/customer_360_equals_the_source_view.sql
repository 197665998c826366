{{ config(meta={
    "description": "The customers equal those of the source's view customer_list, computed from dim_customer",
    "dagster": {"ref": {"name": "customer_360"}}
}) }}

with expected as (
    {{ customer_list(ref('dim_customer')) }}
),

report as (
    {{ customer_list(ref('customer_360')) }}
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

-- Keys only: a failure must not show contact data.
select
    customer_id,
    'missing' as difference
from missing

union all

select
    customer_id,
    'added' as difference
from added
