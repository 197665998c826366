with customers as (
    select * from {{ ref('stg_dvd_rental__customer') }}
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
    customers.customer_id,
    customers.customer_name,
    customers.first_name,
    customers.last_name,
    customers.email,
    customers.store_id,
    customers.is_active,
    customers.created_on,
    addresses.address,
    addresses.postal_code,
    addresses.phone,
    addresses.district,
    cities.city_id,
    cities.city,
    countries.country_id,
    countries.country
from customers
left join addresses on customers.address_id = addresses.address_id
left join cities on addresses.city_id = cities.city_id
left join countries on cities.country_id = countries.country_id
