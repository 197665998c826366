with signups as (
    select * from {{ ref('fct_signup') }}
),

sums as (
    select
        country,
        gender,
        age_group,
        count(*) as signups
    from signups
    group by country, gender, age_group
)

select
    country,
    gender,
    age_group,
    signups,
    cast(
        {{ rounded("100.0 * signups / sum(signups) over (partition by country)", 2) }} as numeric(5, 2)
    ) as share_of_country_pct
from sums
