with staff_rows as (
    {{ raw_state_history(
        'staff',
        ['staff_id', 'first_name', 'last_name', 'store_id', 'active'],
        past_states_relation('staff')
    ) }}
),

staff as (
    select
        cast(staff_id as integer) as staff_id,
        trim(first_name) || ' ' || trim(last_name) as staff_name,
        cast(store_id as integer) as store_id,
        cast(active as boolean) as is_active,
        {{ state_columns('staff_id') }}
    from staff_rows
)

select
    staff_id,
    staff_name,
    store_id,
    is_active,
    is_deleted,
    is_current,
    change_lsn,
    committed_at
from staff
