{{ config(meta={
    "description": "Revenue by store equals the source's view sales_by_store, computed from marts",
    "dagster": {"ref": {"name": "sales_by_store"}}
}) }}

-- The view sums the payments of rentals by the store that owns the copy, with its city, country and manager.
with store_sums as (
    select
        copies.store_id,
        sum(payments.amount) as total_sales
    from {{ ref('fct_payment') }} as payments
    inner join {{ ref('dim_copy') }} as copies on payments.inventory_id = copies.inventory_id
    group by copies.store_id
),

expected as (
    select
        stores.store_id,
        stores.city,
        stores.country,
        stores.manager_name,
        store_sums.total_sales
    from store_sums
    inner join {{ ref('dim_store') }} as stores on store_sums.store_id = stores.store_id
),

report as (
    select * from {{ ref('sales_by_store') }}
    where payments > 0
)

select
    coalesce(expected.store_id, report.store_id) as store_id,
    report.revenue,
    expected.total_sales
from expected
full outer join report on expected.store_id = report.store_id
where
    expected.store_id is null
    or report.store_id is null
    or report.revenue != expected.total_sales
    or report.city != expected.city
    or report.country != expected.country
    or report.manager_name != expected.manager_name
