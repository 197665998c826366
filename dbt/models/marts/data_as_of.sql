with rentals as (
    select * from {{ ref('stg_dvd_rental__rental') }}
),

payments as (
    select * from {{ ref('stg_dvd_rental__payment') }}
),

events as (
    select rented_at as event_at
    from rentals

    union all

    select returned_at as event_at
    from rentals

    union all

    select paid_at as event_at
    from payments
)

select
    {% if var('as_of') -%}
        cast('{{ var("as_of") }}' as timestamp) as as_of,
    {%- else -%}
        max(event_at) as as_of,
    {%- endif %}
    min(event_at) as first_event_at,
    max(event_at) as last_event_at
from events
