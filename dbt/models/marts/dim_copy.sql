-- Reports read copies here, not in the staging view, so that copies and facts have the same data timestamp.
with copies as (
    select * from {{ ref('stg_dvd_rental__inventory') }}
)

select
    inventory_id,
    film_id,
    store_id
from copies
