-- The DVD rental schema. Names, types, nullability, defaults and foreign-key actions are those of the well-known
-- sample database, including its irregularities, which readers must handle: references narrower than the keys
-- they refer to, store references without a foreign key, a foreign key that sets a non-nullable column to null
-- (payment.rental_id), and a payment table without a time of last change.
--
-- The part below the line "-- after loading" is cheaper to execute once the rows are loaded.

CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');

CREATE DOMAIN year AS integer CONSTRAINT year_check CHECK (VALUE BETWEEN 1901 AND 2155);

CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.last_update := CURRENT_TIMESTAMP;
    RETURN NEW;
END
$body$;

-- A comma-separated list without nulls. The views below and existing queries use this name.
CREATE FUNCTION _group_concat(list text, item text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN list IS NULL THEN item WHEN item IS NULL THEN list ELSE concat(list, ', ', item) END;

CREATE AGGREGATE group_concat(text) (SFUNC = _group_concat, STYPE = text);

-- Places

CREATE TABLE country (
    country_id  serial PRIMARY KEY,
    country     varchar(50) NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

CREATE TABLE city (
    city_id     serial PRIMARY KEY,
    city        varchar(50) NOT NULL,
    country_id  smallint NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

CREATE TABLE address (
    address_id  serial PRIMARY KEY,
    address     varchar(50) NOT NULL,
    address2    varchar(50),
    district    varchar(20) NOT NULL,
    city_id     smallint NOT NULL,
    postal_code varchar(10),
    phone       varchar(20) NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

-- Films

CREATE TABLE language (
    language_id serial PRIMARY KEY,
    name        character(20) NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

CREATE TABLE category (
    category_id serial PRIMARY KEY,
    name        varchar(25) NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

CREATE TABLE actor (
    actor_id    serial PRIMARY KEY,
    first_name  varchar(45) NOT NULL,
    last_name   varchar(45) NOT NULL,
    last_update timestamp NOT NULL DEFAULT now()
);

CREATE TABLE film (
    film_id          serial PRIMARY KEY,
    title            varchar(255) NOT NULL,
    description      text,
    release_year     year,
    language_id      smallint NOT NULL,
    rental_duration  smallint NOT NULL DEFAULT 3,
    rental_rate      numeric(4, 2) NOT NULL DEFAULT 4.99,
    length           smallint,
    replacement_cost numeric(5, 2) NOT NULL DEFAULT 19.99,
    rating           mpaa_rating DEFAULT 'G',
    last_update      timestamp NOT NULL DEFAULT now(),
    special_features text[],
    fulltext         tsvector NOT NULL
);

CREATE TABLE film_actor (
    actor_id    smallint NOT NULL,
    film_id     smallint NOT NULL,
    last_update timestamp NOT NULL DEFAULT now(),
    PRIMARY KEY (actor_id, film_id)
);

CREATE TABLE film_category (
    film_id     smallint NOT NULL,
    category_id smallint NOT NULL,
    last_update timestamp NOT NULL DEFAULT now(),
    PRIMARY KEY (film_id, category_id)
);

-- Stores, staff and copies

CREATE TABLE staff (
    staff_id    serial PRIMARY KEY,
    first_name  varchar(45) NOT NULL,
    last_name   varchar(45) NOT NULL,
    address_id  smallint NOT NULL,
    email       varchar(50),
    store_id    smallint NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    username    varchar(16) NOT NULL,
    password    varchar(40),
    last_update timestamp NOT NULL DEFAULT now(),
    picture     bytea
);

CREATE TABLE store (
    store_id         serial PRIMARY KEY,
    manager_staff_id smallint NOT NULL,
    address_id       smallint NOT NULL,
    last_update      timestamp NOT NULL DEFAULT now()
);

CREATE TABLE inventory (
    inventory_id serial PRIMARY KEY,
    film_id      smallint NOT NULL,
    store_id     smallint NOT NULL,
    last_update  timestamp NOT NULL DEFAULT now()
);

-- Customers, rentals and payments

CREATE TABLE customer (
    customer_id serial PRIMARY KEY,
    store_id    smallint NOT NULL,
    first_name  varchar(45) NOT NULL,
    last_name   varchar(45) NOT NULL,
    email       varchar(50),
    address_id  smallint NOT NULL,
    activebool  boolean NOT NULL DEFAULT true,
    create_date date NOT NULL DEFAULT ('now'::text)::date,
    last_update timestamp DEFAULT now(),
    active      integer
);

CREATE TABLE rental (
    rental_id    serial PRIMARY KEY,
    rental_date  timestamp NOT NULL,
    inventory_id integer NOT NULL,
    customer_id  smallint NOT NULL,
    return_date  timestamp,
    staff_id     smallint NOT NULL,
    last_update  timestamp NOT NULL DEFAULT now()
);

CREATE TABLE payment (
    payment_id   serial PRIMARY KEY,
    customer_id  smallint NOT NULL,
    staff_id     smallint NOT NULL,
    rental_id    integer NOT NULL,
    amount       numeric(5, 2) NOT NULL,
    payment_date timestamp NOT NULL
);

CREATE TRIGGER film_fulltext_trigger BEFORE INSERT OR UPDATE ON film FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');

CREATE TRIGGER last_updated BEFORE UPDATE ON country FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON city FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON address FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON language FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON category FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON actor FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON film_actor FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON film_category FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON store FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON inventory FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER last_updated BEFORE UPDATE ON rental FOR EACH ROW EXECUTE FUNCTION last_updated();

-- after loading

ALTER TABLE city
    ADD CONSTRAINT fk_city FOREIGN KEY (country_id) REFERENCES country;
ALTER TABLE address
    ADD CONSTRAINT fk_address_city FOREIGN KEY (city_id) REFERENCES city;
ALTER TABLE film
    ADD FOREIGN KEY (language_id) REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE film_actor
    ADD FOREIGN KEY (actor_id) REFERENCES actor ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD FOREIGN KEY (film_id) REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE film_category
    ADD FOREIGN KEY (film_id) REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD FOREIGN KEY (category_id) REFERENCES category ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE staff
    ADD FOREIGN KEY (address_id) REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE store
    ADD FOREIGN KEY (manager_staff_id) REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD FOREIGN KEY (address_id) REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE inventory
    ADD FOREIGN KEY (film_id) REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE customer
    ADD FOREIGN KEY (address_id) REFERENCES address ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE rental
    ADD FOREIGN KEY (inventory_id) REFERENCES inventory ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD FOREIGN KEY (customer_id) REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD CONSTRAINT rental_staff_id_key FOREIGN KEY (staff_id) REFERENCES staff;
ALTER TABLE payment
    ADD FOREIGN KEY (customer_id) REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT,
    ADD FOREIGN KEY (staff_id) REFERENCES staff ON UPDATE CASCADE ON DELETE RESTRICT,
    -- SET NULL on a column that is not nullable: a paid rental cannot be deleted before its payments.
    ADD FOREIGN KEY (rental_id) REFERENCES rental ON UPDATE CASCADE ON DELETE SET NULL;

CREATE INDEX idx_fk_country_id ON city (country_id);
CREATE INDEX idx_fk_city_id ON address (city_id);
CREATE INDEX idx_actor_last_name ON actor (last_name);
CREATE INDEX film_fulltext_idx ON film USING gist (fulltext);
CREATE INDEX idx_fk_language_id ON film (language_id);
CREATE INDEX idx_title ON film (title);
CREATE INDEX idx_fk_film_id ON film_actor (film_id);
CREATE UNIQUE INDEX idx_unq_manager_staff_id ON store (manager_staff_id);
CREATE INDEX idx_store_id_film_id ON inventory (store_id, film_id);
CREATE INDEX idx_fk_address_id ON customer (address_id);
CREATE INDEX idx_fk_store_id ON customer (store_id);
CREATE INDEX idx_last_name ON customer (last_name);
CREATE INDEX idx_fk_inventory_id ON rental (inventory_id);
CREATE UNIQUE INDEX idx_unq_rental_rental_date_inventory_id_customer_id
    ON rental (rental_date, inventory_id, customer_id);
CREATE INDEX idx_fk_customer_id ON payment (customer_id);
CREATE INDEX idx_fk_staff_id ON payment (staff_id);
CREATE INDEX idx_fk_rental_id ON payment (rental_id);

CREATE VIEW customer_list AS
SELECT customer_id AS id, concat(first_name, ' ', last_name) AS name, address, postal_code AS "zip code",
    phone, city, country, CASE WHEN activebool THEN 'active' ELSE '' END AS notes, store_id AS sid
FROM customer
JOIN address USING (address_id)
JOIN city USING (city_id)
JOIN country USING (country_id);

CREATE VIEW staff_list AS
SELECT staff_id AS id, concat(first_name, ' ', last_name) AS name, address, postal_code AS "zip code",
    phone, city, country, store_id AS sid
FROM staff
JOIN address USING (address_id)
JOIN city USING (city_id)
JOIN country USING (country_id);

-- Films without actors are not in these two lists.
CREATE VIEW film_list AS
SELECT film_id AS fid, title, description, name AS category, rental_rate AS price, length, rating,
    group_concat(concat(first_name, ' ', last_name)) AS actors
FROM film
JOIN film_category USING (film_id)
JOIN category USING (category_id)
JOIN film_actor USING (film_id)
JOIN actor USING (actor_id)
GROUP BY film_id, category_id;

CREATE VIEW nicer_but_slower_film_list AS
SELECT film_id AS fid, title, description, name AS category, rental_rate AS price, length, rating,
    group_concat(concat(
        upper(left(first_name, 1)), lower(substr(first_name, 2)),
        upper(left(last_name, 1)), lower(substr(last_name, 2))
    )) AS actors
FROM film
JOIN film_category USING (film_id)
JOIN category USING (category_id)
JOIN film_actor USING (film_id)
JOIN actor USING (actor_id)
GROUP BY film_id, category_id;

CREATE VIEW actor_info AS
WITH films_by_category AS (
    SELECT actor_id, name, group_concat(title) AS titles
    FROM film_actor
    JOIN film USING (film_id)
    JOIN film_category USING (film_id)
    JOIN category USING (category_id)
    GROUP BY actor_id, category_id
)
SELECT actor_id, first_name, last_name,
    (
        SELECT group_concat(DISTINCT concat(name, ': ', titles))
        FROM films_by_category
        WHERE films_by_category.actor_id = actor.actor_id
    ) AS film_info
FROM actor;

CREATE VIEW sales_by_film_category AS
SELECT name AS category, sum(amount) AS total_sales
FROM payment
JOIN rental USING (rental_id)
JOIN inventory USING (inventory_id)
JOIN film_category USING (film_id)
JOIN category USING (category_id)
GROUP BY name
ORDER BY total_sales DESC;

-- The sales of a store are those of its own copies, whichever staff rented them out.
CREATE VIEW sales_by_store AS
SELECT concat(city, ',', country) AS store, concat(staff.first_name, ' ', staff.last_name) AS manager,
    sum(amount) AS total_sales
FROM payment
JOIN rental USING (rental_id)
JOIN inventory USING (inventory_id)
JOIN store ON store.store_id = inventory.store_id
JOIN staff ON staff.staff_id = store.manager_staff_id
JOIN address ON address.address_id = store.address_id
JOIN city USING (city_id)
JOIN country USING (country_id)
GROUP BY store.store_id, city, country, staff.first_name, staff.last_name
ORDER BY country, city;
