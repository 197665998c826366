with stores as (
    select * from {{ ref('stg_dvd_rental__store') }}
),

staff as (
    select * from {{ ref('stg_dvd_rental__staff') }}
),

addresses as (
    select * from {{ ref('stg_dvd_rental__address') }}
),

cities as (
    select * from {{ ref('stg_dvd_rental__city') }}
),

countries as (
    select * from {{ ref('stg_dvd_rental__country') }}
)

select
    stores.store_id,
    -- The source has no store names. A city may have several stores, so the name includes the number.
    'Store ' || cast(stores.store_id as varchar) || coalesce(', ' || cities.city, '') as store_name,
    stores.manager_staff_id,
    staff.staff_name as manager_name,
    addresses.address,
    addresses.district,
    cities.city_id,
    cities.city,
    countries.country_id,
    countries.country
from stores
left join staff on stores.manager_staff_id = staff.staff_id
left join addresses on stores.address_id = addresses.address_id
left join cities on addresses.city_id = cities.city_id
left join countries on cities.country_id = countries.country_id
