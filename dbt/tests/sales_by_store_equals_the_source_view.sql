{{ config(meta={
    "description": "Each store sells what the source's own view sales_by_store says",
    "dagster": {"ref": {"name": "sales_by_store"}}
}) }}

-- The view: payments of rentals, by the store that owns the copy, with the store's city, country and manager.
with source_view as (
    select
        stores.store_id,
        cities.city,
        countries.country,
        managers.staff_name as manager,
        sum(payments.amount) as total_sales
    from {{ ref('stg_dvd_rental__payment') }} as payments
    inner join {{ ref('stg_dvd_rental__rental') }} as rentals on payments.rental_id = rentals.rental_id
    inner join {{ ref('stg_dvd_rental__inventory') }} as inventory
        on rentals.inventory_id = inventory.inventory_id
    inner join {{ ref('stg_dvd_rental__store') }} as stores on inventory.store_id = stores.store_id
    inner join {{ ref('stg_dvd_rental__address') }} as addresses on stores.address_id = addresses.address_id
    inner join {{ ref('stg_dvd_rental__city') }} as cities on addresses.city_id = cities.city_id
    inner join {{ ref('stg_dvd_rental__country') }} as countries on cities.country_id = countries.country_id
    inner join {{ ref('stg_dvd_rental__staff') }} as managers on stores.manager_staff_id = managers.staff_id
    group by stores.store_id, cities.city, countries.country, managers.staff_name
),

report as (
    select * from {{ ref('sales_by_store') }}
    where payments > 0
)

select
    coalesce(source_view.store_id, report.store_id) as store_id,
    report.revenue,
    source_view.total_sales
from source_view
full outer join report on source_view.store_id = report.store_id
where
    source_view.store_id is null
    or report.store_id is null
    or report.revenue != source_view.total_sales
    or report.city != source_view.city
    or report.country != source_view.country
    or report.manager_name != source_view.manager
