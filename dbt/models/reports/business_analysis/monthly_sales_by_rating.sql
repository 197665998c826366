-- A payment at an unknown time belongs to no month.
with payments as (
    select * from {{ ref('fct_payment') }}
    where paid_on is not null
),

films as (
    select * from {{ ref('dim_film') }}
),

all_months as (
    select * from {{ ref('monthly_totals') }}
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
    monthly.month,
    all_months.is_complete,
    monthly.rating,
    monthly.payments,
    monthly.revenue,
    cast(
        {{ rounded(
            "100.0 * monthly.revenue / nullif(sum(monthly.revenue) over (partition by monthly.month), 0)", 2
        ) }}
        as numeric(5, 2)
    ) as revenue_share_pct,
    cast(
        row_number() over (
            partition by monthly.month order by monthly.revenue desc, monthly.rating asc
        ) as integer
    ) as revenue_rank
from monthly
left join all_months on monthly.month = all_months.month
