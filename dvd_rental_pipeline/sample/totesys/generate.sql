-- Filled inside the server, so that memory does not grow with the scale. A function of the row's number and a salt
-- stands for a random number: the same seed gives the same rows.
create function pg_temp.draw(row_number bigint, salt text) returns double precision
    language sql immutable parallel safe
    return (hashint8extended(row_number, hashtextextended(salt, current_setting('sample.seed')::bigint)) & 4294967295)
        / 4294967296.0::double precision;

create function pg_temp.pick(row_number bigint, salt text, choices text[]) returns text
    language sql immutable parallel safe
    return choices[1 + floor(pg_temp.draw(row_number, salt) * cardinality(choices))::integer];

insert into _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
select md5('migration'), repeat('0', 64), '20221103140842_init', since, since, 1 from sample_span;

insert into currency (currency_code, created_at, last_updated)
select code, since, since from sample_span, unnest(array['GBP', 'USD', 'EUR']) with ordinality as codes (code, position)
order by position;

insert into payment_type (payment_type_name, created_at, last_updated)
select name, since, since from sample_span, unnest(enum_range(null::"PaymentTypeName")) as names (name) order by name;

insert into department (department_name, location, manager, created_at, last_updated)
select name, pg_temp.pick(position, 'location', array['Leeds', 'Manchester', 'London', null]),
    pg_temp.pick(position, 'manager', array['Ana Reyes', 'Tom Hill', 'Mia Chen', 'Omar Said']), since, since
from sample_span, unnest(array['Sales', 'Purchasing', 'Production', 'Dispatch', 'Finance', 'Facilities',
    'Communications', 'HR']) with ordinality as names (name, position)
order by position;

insert into address (address_line_1, address_line_2, district, city, postal_code, country, phone, created_at, last_updated)
select
    (1 + floor(pg_temp.draw(n, 'house') * 200))::integer || ' '
        || pg_temp.pick(n, 'street', array['Mill Lane', 'Station Road', 'Park Avenue', 'Harbour Street', 'Oak Close']),
    case when pg_temp.draw(n, 'line 2') < 0.3 then 'Unit ' || n end,
    case when pg_temp.draw(n, 'district') < 0.6 then pg_temp.pick(n, 'county', array['Kent', 'Avon', 'Fife', 'Essex']) end,
    pg_temp.pick(n, 'city', array['Leeds', 'Utrecht', 'Porto', 'Boston', 'Lyon', 'Graz', 'Odense', 'Turin']),
    lpad((floor(pg_temp.draw(n, 'postcode') * 100000))::integer::text, 5, '0'),
    (array['United Kingdom', 'Netherlands', 'Portugal', 'United States', 'France', 'Austria', 'Denmark', 'Italy'])
        [1 + (n % 8)::integer],
    '+44 ' || lpad((floor(pg_temp.draw(n, 'phone') * 1000000000))::bigint::text, 9, '0'), since, since
from sample_span, generate_series(1, 30) as n;

insert into counterparty (counterparty_legal_name, legal_address_id, commercial_contact, delivery_contact, created_at, last_updated)
select
    pg_temp.pick(n, 'name', array['Fahey', 'Leannon', 'Armstrong', 'Kohler', 'Huels', 'Price', 'Mraz', 'Yost']) || ' '
        || n || ' ' || pg_temp.pick(n, 'form', array['Ltd', 'GmbH', 'Inc', 'and Sons']),
    1 + floor(pg_temp.draw(n, 'address') * 30)::integer,
    case when pg_temp.draw(n, 'contact') < 0.8 then 'Contact ' || n end,
    case when pg_temp.draw(n, 'delivery') < 0.8 then 'Delivery ' || n end, since, since
from sample_span, generate_series(1, 20) as n;

insert into staff (first_name, last_name, department_id, email_address, created_at, last_updated)
select first_name, last_name, department_id, lower(first_name || '.' || last_name || n || '@example.com'), since, since
from sample_span, generate_series(1, 20) as n,
    lateral (select
        pg_temp.pick(n, 'first', array['Jeremie', 'Deron', 'Oswaldo', 'Brenna', 'Ola', 'Imani', 'Pierre', 'Cora']) as first_name,
        pg_temp.pick(n, 'last', array['Franey', 'Beier', 'Bergnaum', 'Kiehn', 'Hand', 'Muller', 'Sauer', 'Jacobs']) as last_name,
        1 + floor(pg_temp.draw(n, 'department') * 8)::integer as department_id
    ) as person;

insert into design (design_name, file_location, file_name, created_at, last_updated)
select name, '/' || pg_temp.pick(n, 'folder', array['usr', 'private', 'lib', 'home']), lower(name) || '-' || n || '.json',
    created, created
from sample_span, generate_series(1, 472) as n,
    lateral (select
        pg_temp.pick(n, 'design', array['Wooden', 'Bronze', 'Soft', 'Granite', 'Steel', 'Rubber', 'Cotton', 'Plastic',
            'Fresh', 'Frozen', 'Concrete', 'Metal']) as name,
        date_trunc('milliseconds', since + (until - since) * (n - 1) / 500.0) as created
    ) as drawn;

insert into sales_order
select n, created, created,
    -- A design exists before it is sold.
    1 + floor(pg_temp.draw(n, 'design sold') * greatest(1, 460.0 * n / sample_span.sales))::integer,
    1 + floor(pg_temp.draw(n, 'sales staff') * 20)::integer,
    1 + floor(pg_temp.draw(n, 'customer') * pg_temp.draw(n, 'customer 2') * 20)::integer,
    1001 + floor(pg_temp.draw(n, 'units') * 98973)::integer,
    round((2 + 2 * pg_temp.draw(n, 'price'))::numeric, 2),
    1 + floor(pg_temp.draw(n, 'currency') * 3)::integer,
    case when pg_temp.draw(n, 'malformed') < 0.001 then '31/02/2024'
        else to_char(created + make_interval(days => 1 + floor(pg_temp.draw(n, 'delivery') * 6)::integer), 'YYYY-MM-DD') end,
    to_char(created + make_interval(days => 1 + floor(pg_temp.draw(n, 'pay') * 6)::integer), 'YYYY-MM-DD'),
    1 + floor(pg_temp.draw(n, 'location') * 30)::integer
from sample_span, generate_series(1, sample_span.sales) as n,
    lateral (select date_trunc('milliseconds', since + (until - since) * (n::double precision / sample_span.sales)) as created) as drawn;

insert into purchase_order
select n, created, created,
    1 + floor(pg_temp.draw(n, 'purchase staff') * 20)::integer,
    1 + floor(pg_temp.draw(n, 'supplier') * 20)::integer,
    upper(substr(md5(n::text || 'item'), 1, 7)),
    1 + floor(pg_temp.draw(n, 'quantity') * 999)::integer,
    round((3.32 + 995 * pg_temp.draw(n, 'item price'))::numeric, 2),
    1 + floor(pg_temp.draw(n, 'purchase currency') * 3)::integer,
    to_char(created + make_interval(days => 1 + floor(pg_temp.draw(n, 'arrival') * 6)::integer), 'YYYY-MM-DD'),
    case when pg_temp.draw(n, 'malformed purchase') < 0.001 then 'next week'
        else to_char(created + make_interval(days => 1 + floor(pg_temp.draw(n, 'pay supplier') * 6)::integer), 'YYYY-MM-DD') end,
    1 + floor(pg_temp.draw(n, 'purchase location') * 30)::integer
from sample_span, generate_series(1, sample_span.purchases) as n,
    lateral (select date_trunc('milliseconds', since + (until - since) * (n::double precision / sample_span.purchases)) as created) as drawn;

insert into transaction (transaction_id, transaction_type, sales_order_id, purchase_order_id, created_at, last_updated)
select row_number() over (order by created_at, kind, order_id), kind,
    case when kind = 'SALE' then order_id end, case when kind = 'PURCHASE' then order_id end, created_at, created_at
from (
    select 'SALE'::"TransactionType" as kind, sales_order_id as order_id, created_at from sales_order
    union all
    select 'PURCHASE', purchase_order_id, created_at from purchase_order
) as orders;

insert into payment
select transaction_id, created_at,
    case when is_paid then date_trunc('milliseconds', created_at + interval '1 day' * (1 + 4 * pg_temp.draw(transaction_id, 'paid'))) else created_at end,
    transaction_id, counterparty_id, amount, currency_id,
    case when transaction_type = 'SALE' then 1 else 3 end, is_paid, payment_date,
    10000000 + floor(pg_temp.draw(transaction_id, 'account') * 89999999)::integer,
    10000000 + floor(pg_temp.draw(transaction_id, 'their account') * 89999999)::integer
from (
    select transaction.transaction_id, transaction.transaction_type, transaction.created_at,
        coalesce(sales_order.counterparty_id, purchase_order.counterparty_id) as counterparty_id,
        coalesce(units_sold * unit_price, item_quantity * item_unit_price) as amount,
        coalesce(sales_order.currency_id, purchase_order.currency_id) as currency_id,
        coalesce(sales_order.agreed_payment_date, purchase_order.agreed_payment_date) as payment_date,
        transaction.created_at < sample_span.until - interval '6 days' as is_paid
    from sample_span cross join transaction
    left join sales_order using (sales_order_id) left join purchase_order using (purchase_order_id)
) as orders;
