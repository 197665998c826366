with payments as (
    select * from {{ ref('fct_payment') }}
),

films as (
    select * from {{ ref('dim_film') }}
),

monthly as (
    select
        cast({{ dbt.date_trunc('month', 'payments.paid_on') }} as date) as month,
        coalesce(films.rating, 'Unknown') as rating,
        count(*) as payments,
        cast(sum(payments.amount) as numeric(18, 2)) as revenue
    from payments
    left join films on payments.film_id = films.film_id
    group by 1, 2
)

select
    month,
    rating,
    payments,
    revenue,
    cast(
        {{ rounded("100.0 * revenue / nullif(sum(revenue) over (partition by month), 0)", 2) }} as numeric(5, 2)
    ) as revenue_share_pct,
    cast(row_number() over (partition by month order by revenue desc, rating asc) as integer) as revenue_rank
from monthly
