with signups as (
    select * from {{ ref('fct_signup') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

-- Customers may share an address: a user converts once.
customer_emails as (
    select distinct cast({{ dbt.hash("lower(trim(email))") }} as varchar) as email_hash
    from customers
    where email is not null
),

sums as (
    select
        signups.country,
        signups.signed_up_month,
        count(*) as signups,
        count(customer_emails.email_hash) as converted
    from signups
    left join customer_emails on signups.email_hash = customer_emails.email_hash
    group by signups.country, signups.signed_up_month
)

select
    country,
    signed_up_month,
    signups,
    converted,
    cast({{ rounded("100.0 * converted / signups", 2) }} as numeric(5, 2)) as conversion_pct
from sums
