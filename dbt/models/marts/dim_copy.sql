-- The reports read copies here: to read them in staging would mix the state of the facts with a later one.
with copies as (
    select * from {{ ref('stg_dvd_rental__inventory') }}
)

select
    inventory_id,
    film_id,
    store_id
from copies
