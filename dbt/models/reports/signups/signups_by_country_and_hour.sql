with signups as (
    select * from {{ ref('fct_signup') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

customers_by_country as (
    select
        lower(country) as country_key,
        count(*) as customers
    from customers
    group by lower(country)
),

signups_by_hour as (
    select
        country,
        signed_up_hour,
        count(*) as signups
    from signups
    group by country, signed_up_hour
)

select
    signups_by_hour.country,
    signups_by_hour.signed_up_hour,
    signups_by_hour.signups,
    coalesce(customers_by_country.customers, 0) as customers
from signups_by_hour
left join customers_by_country on lower(signups_by_hour.country) = customers_by_country.country_key
