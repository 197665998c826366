{{ config(meta={
    "description": "The revenue of each store equals that of the source's view sales_by_store",
    "dagster": {"ref": {"name": "fct_payment"}}
}) }}

-- The view sums the payments of rentals by the store that owns the copy, with its city, country and manager.
with source_stores as (
    select
        inventory.store_id,
        sum(payments.amount) as total_sales
    from {{ ref('stg_dvd_rental__payment') }} as payments
    inner join {{ ref('stg_dvd_rental__rental') }} as rentals on payments.rental_id = rentals.rental_id
    inner join {{ ref('stg_dvd_rental__inventory') }} as inventory
        on rentals.inventory_id = inventory.inventory_id
    group by inventory.store_id
),

source_view as (
    select
        stores.store_id,
        cities.city,
        countries.country,
        managers.staff_name as manager,
        source_stores.total_sales
    from source_stores
    inner join {{ ref('stg_dvd_rental__store') }} as stores on source_stores.store_id = stores.store_id
    inner join {{ ref('stg_dvd_rental__address') }} as addresses on stores.address_id = addresses.address_id
    inner join {{ ref('stg_dvd_rental__city') }} as cities on addresses.city_id = cities.city_id
    inner join {{ ref('stg_dvd_rental__country') }} as countries on cities.country_id = countries.country_id
    inner join {{ ref('stg_dvd_rental__staff') }} as managers on stores.manager_staff_id = managers.staff_id
),

fact_stores as (
    select
        store_id,
        sum(amount) as revenue
    from {{ ref('fct_payment') }}
    where store_id is not null
    group by store_id
),

facts as (
    select
        fact_stores.store_id,
        stores.city,
        stores.country,
        stores.manager_name,
        fact_stores.revenue
    from fact_stores
    left join {{ ref('dim_store') }} as stores on fact_stores.store_id = stores.store_id
)

select
    coalesce(source_view.store_id, facts.store_id) as store_id,
    facts.revenue,
    source_view.total_sales
from source_view
full outer join facts on source_view.store_id = facts.store_id
where
    source_view.store_id is null
    or facts.store_id is null
    or facts.revenue != source_view.total_sales
    or facts.city != source_view.city
    or facts.country != source_view.country
    or facts.manager_name != source_view.manager
