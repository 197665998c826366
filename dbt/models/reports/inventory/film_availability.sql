with films as (
    select * from {{ ref('dim_film') }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

copies as (
    select
        film_id,
        store_id,
        count(*) as copies
    from {{ ref('dim_copy') }}
    group by film_id, store_id
),

loans as (
    select
        film_id,
        store_id,
        count(*) as on_loan,
        count(case when is_overdue then 1 end) as overdue,
        count(case when is_lost then 1 end) as lost
    from {{ ref('fct_rental') }}
    where is_open
    group by film_id, store_id
)

-- Every combination of film and store, including films that the store does not stock.
select
    films.film_id,
    films.title,
    films.category,
    stores.store_id,
    stores.store_name,
    coalesce(copies.copies, 0) as copies,
    coalesce(loans.on_loan, 0) as on_loan,
    coalesce(copies.copies, 0) - coalesce(loans.on_loan, 0) as available,
    coalesce(loans.overdue, 0) as overdue,
    coalesce(loans.lost, 0) as lost,
    case
        when coalesce(copies.copies, 0) = 0 then 'not stocked'
        when copies.copies > coalesce(loans.on_loan, 0) then 'in stock'
        when loans.lost = copies.copies then 'lost'
        else 'on loan'
    end as status
from films
cross join stores
left join copies
    on
        films.film_id = copies.film_id
        and stores.store_id = copies.store_id
left join loans
    on
        films.film_id = loans.film_id
        and stores.store_id = loans.store_id
