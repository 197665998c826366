with source as (
    select * from {{ source('dvd_rental', 'actor') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(actor_id as integer) as actor_id,
        trim(first_name) as first_name,
        trim(last_name) as last_name,
        trim(first_name) || ' ' || trim(last_name) as actor_name,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
