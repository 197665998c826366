{#
  `demand` is the number of rentals per day that are asked for while all copies are out, and `load` that
  number times the days for which a copy is kept. Of customers who find `n` further copies, the share that
  finds all of them out is given by Erlang's loss formula: B(0) = 1, B(n) = load * B(n - 1) / (n + load * B(n
  - 1)).
#}
{%- set most_copies = 3 -%}
with unavailability as (
    select * from {{ ref('stock_unavailability') }}
    where unavailable_days > 0
),

films as (
    select * from {{ ref('dim_film') }}
),

film_revenues as (
    select
        film_id,
        sum(revenue) / count(*) as revenue_per_rental
    from {{ ref('fct_rental') }}
    group by film_id
),

losses_0 as (
    select
        *,
        cast(daily_demand * unavailable_days as double) as unmet_rentals,
        cast(daily_demand * average_days_kept as double) as offered_load,
        cast(1 as double) as loss_0
    from unavailability
),

{% for copy in range(1, most_copies + 1) -%}
    losses_{{ copy }} as (
        select
            *,
            offered_load * loss_{{ copy - 1 }} / ({{ copy }} + offered_load * loss_{{ copy - 1 }})
                as loss_{{ copy }}
        from losses_{{ copy - 1 }}
    ),

{% endfor -%}
extra_copies as (
    {% for copy in range(1, most_copies + 1) -%}
        select
            *,
            {{ copy }} as additional_copy,
            unmet_rentals * (loss_{{ copy - 1 }} - loss_{{ copy }}) as extra_rentals
        from losses_{{ most_copies }}
        {{ "union all" if not loop.last }}
    {% endfor %}
)

select
    extra_copies.film_id,
    extra_copies.title,
    extra_copies.category,
    extra_copies.store_id,
    extra_copies.store_name,
    extra_copies.additional_copy,
    extra_copies.unavailable_days,
    cast({{ rounded("extra_copies.extra_rentals", 4) }} as numeric(18, 4)) as expected_extra_rentals,
    cast(
        {{ rounded(
            "extra_copies.extra_rentals * coalesce(film_revenues.revenue_per_rental, films.rental_rate)", 4
        ) }} as numeric(18, 4)
    ) as expected_extra_revenue,
    films.replacement_cost,
    cast(
        {{ rounded(
            "films.replacement_cost * extra_copies.window_days / nullif("
            ~ "extra_copies.extra_rentals"
            ~ " * coalesce(film_revenues.revenue_per_rental, films.rental_rate), 0)", 0
        ) }} as numeric(18, 0)
    ) as payback_days
from extra_copies
left join films on extra_copies.film_id = films.film_id
left join film_revenues on extra_copies.film_id = film_revenues.film_id
