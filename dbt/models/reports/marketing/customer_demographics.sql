with customers as (
    select * from {{ ref('dim_customer') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

customer_values as (
    select * from {{ ref('customer_value') }}
),

described_customers as (
    select
        customers.customer_id,
        coalesce(customers.country, 'Unknown') as country,
        coalesce(stores.store_name, 'Unknown') as home_store,
        case when customers.is_active then 'active' else 'inactive' end as status,
        coalesce(cast(extract(year from customers.created_on) as varchar), 'Unknown') as customer_since,
        customer_values.rentals,
        customer_values.revenue
    from customers
    inner join customer_values on customers.customer_id = customer_values.customer_id
    left join stores on customers.store_id = stores.store_id
),

attributes as (
    {% for attribute, column in [
        ("country", "country"), ("home store", "home_store"), ("status", "status"),
        ("customer since", "customer_since"),
    ] -%}
        select
            '{{ attribute }}' as attribute,
            {{ column }} as attribute_value,
            rentals,
            revenue
        from described_customers
        {{ "union all" if not loop.last }}
    {% endfor %}
),

sums as (
    select
        attribute,
        attribute_value,
        count(*) as customers,
        cast(sum(rentals) as bigint) as rentals,
        cast(sum(revenue) as numeric(18, 2)) as revenue
    from attributes
    group by attribute, attribute_value
)

select
    attribute,
    attribute_value,
    customers,
    cast(
        {{ rounded("100.0 * customers / sum(customers) over (partition by attribute)", 2) }} as numeric(5, 2)
    ) as share_pct,
    rentals,
    revenue,
    cast({{ rounded("1.0 * rentals / customers", 2) }} as numeric(18, 2)) as rentals_per_customer,
    cast({{ rounded("revenue / customers", 2) }} as numeric(18, 2)) as revenue_per_customer
from sums
