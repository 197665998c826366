with users as (
    select * from {{ ref('stg_signups__users') }}
)

select
    user_uuid,
    signed_up_at,
    {{ dbt.date_trunc('hour', 'signed_up_at') }} as signed_up_hour,
    cast({{ dbt.date_trunc('month', 'signed_up_at') }} as date) as signed_up_month,
    country,
    gender,
    age_at_signup,
    case
        when age_at_signup < 18 then 'under 18'
        when age_at_signup < 30 then '18 to 29'
        when age_at_signup < 45 then '30 to 44'
        when age_at_signup < 60 then '45 to 59'
        else '60 and over'
    end as age_group,
    email_hash,
    change_lsn
from users
