with source as (
    select * from {{ source('dvd_rental', 'category') }}
    where _ab_cdc_deleted_at is null
),

renamed as (
    select
        cast(category_id as integer) as category_id,
        trim(name) as category,
        {{ source_time('last_update') }} as updated_at,
        cast(_ab_cdc_lsn as bigint) as change_lsn
    from source
)

select * from renamed
