with cities as (
    select * from {{ ref('stg_dvd_rental__city') }}
),

countries as (
    select * from {{ ref('stg_dvd_rental__country') }}
)

select
    cities.city_id,
    cities.city,
    cities.country_id,
    countries.country
from cities
left join countries on cities.country_id = countries.country_id
