-- The source pads names with spaces to a fixed width.
with source as (
    select * from {{ source('dvd_rental', 'language') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(language_id as integer) as language_id,
        trim(name) as language,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
