with staff as (
    select * from {{ ref('stg_dvd_rental__staff') }}
),

stores as (
    select * from {{ ref('stg_dvd_rental__store') }}
),

managers as (
    select distinct manager_staff_id as staff_id
    from stores
)

select
    staff.staff_id,
    staff.staff_name,
    staff.first_name,
    staff.last_name,
    staff.store_id,
    staff.is_active,
    managers.staff_id is not null as is_manager
from staff
left join managers on staff.staff_id = managers.staff_id
