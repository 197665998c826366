with orders as (
    select * from {{ ref('stg_totesys__sales_order') }}
)

select
    orders.sales_order_id,
    orders.created_date,
    cast(customers.counterparty_legal_country as varchar) as country,
    cast(designs.design_name as varchar) as design_name,
    staff.staff_id,
    cast(staff.first_name as varchar) as first_name,
    cast(staff.last_name as varchar) as last_name,
    cast(staff.department_name as varchar) as department_name,
    cast(currencies.currency_code as varchar) as currency_code,
    orders.units_sold as units,
    cast(orders.units_sold * orders.unit_price as numeric(18, 2)) as revenue
from orders
inner join {{ source('totesys', 'dim_counterparty') }} as customers
    on orders.counterparty_id = customers.counterparty_id
inner join {{ source('totesys', 'dim_design') }} as designs on orders.design_id = designs.design_id
inner join {{ source('totesys', 'dim_staff') }} as staff on orders.sales_staff_id = staff.staff_id
inner join {{ source('totesys', 'dim_currency') }} as currencies
    on orders.currency_id = currencies.currency_id
