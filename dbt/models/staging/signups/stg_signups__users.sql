-- Names, addresses and phone numbers are left out: no model needs them. Of the e-mail address and the day of
-- birth only what models need is kept: a hash and the age.
with source as (
    select * from {{ source('signups', 'users') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(user_uuid as varchar) as user_uuid,
        gender,
        country,
        cast({{ dbt.hash("lower(trim(email))") }} as varchar) as email_hash,
        cast(date_of_birth as date) as born_on,
        {{ source_time('first_seen_at') }} as signed_up_at,
        {{ source_time('updated_at') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select
    user_uuid,
    gender,
    country,
    email_hash,
    cast(
        extract(year from signed_up_at) - extract(year from born_on)
        - case
            when
                extract(month from signed_up_at) * 100 + extract(day from signed_up_at)
                < extract(month from born_on) * 100 + extract(day from born_on)
                then 1
            else 0
        end as integer
    ) as age_at_signup,
    signed_up_at,
    updated_at,
    change_lsn
from renamed
