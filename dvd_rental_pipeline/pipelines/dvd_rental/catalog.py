"""The tables of the DVD rental database: columns, keys, privacy, freshness tier."""

from dvd_rental_pipeline.core.catalog import Column, Domain, FreshnessTier, Privacy, Table

PERSONAL = Privacy.PERSONAL
SECRET = Privacy.SECRET

_LAST_UPDATE = Column(
    "last_update", "timestamp without time zone", "When the row last changed, set by a trigger"
)

DVD_RENTAL = Domain(
    name="dvd_rental",
    source_schema="public",
    description="The OLTP database of a chain of DVD rental stores.",
    owner="team:data_platform",
    tables=(
        Table(
            "actor",
            "one row per actor",
            ("actor_id",),
            (
                Column("actor_id", "integer", "Identifier of the actor; actor names are not unique"),
                Column("first_name", "character varying(45)", "First name"),
                Column("last_name", "character varying(45)", "Last name"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "address",
            "one row per address of a customer, a staff member or a store",
            ("address_id",),
            (
                Column("address_id", "integer", "Identifier of the address"),
                Column("address", "character varying(50)", "First line of the address", privacy=PERSONAL),
                Column(
                    "address2",
                    "character varying(50)",
                    "Second line of the address",
                    nullable=True,
                    privacy=PERSONAL,
                ),
                Column("district", "character varying(20)", "District or region; empty when unknown"),
                Column("city_id", "smallint", "Identifier of the city"),
                Column("postal_code", "character varying(10)", "Postal code", nullable=True, privacy=PERSONAL),
                Column("phone", "character varying(20)", "Phone number; empty when unknown", privacy=PERSONAL),
                _LAST_UPDATE,
            ),
            history=("district", "city_id"),
        ),
        Table(
            "category",
            "one row per film category",
            ("category_id",),
            (
                Column("category_id", "integer", "Identifier of the category"),
                Column("name", "character varying(25)", "Name of the category (genre)"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "city",
            "one row per city",
            ("city_id",),
            (
                Column("city_id", "integer", "Identifier of the city; city names are not unique"),
                Column("city", "character varying(50)", "Name of the city"),
                Column("country_id", "smallint", "Identifier of the country"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "country",
            "one row per country",
            ("country_id",),
            (
                Column("country_id", "integer", "Identifier of the country"),
                Column("country", "character varying(50)", "Name of the country; may contain commas"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "customer",
            "one row per customer",
            ("customer_id",),
            (
                Column("customer_id", "integer", "Identifier of the customer"),
                Column("store_id", "smallint", "Identifier of the customer's home store; not a foreign key"),
                Column("first_name", "character varying(45)", "First name", privacy=PERSONAL),
                Column("last_name", "character varying(45)", "Last name", privacy=PERSONAL),
                Column("email", "character varying(50)", "Email address", nullable=True, privacy=PERSONAL),
                Column("address_id", "smallint", "Identifier of the customer's address"),
                Column(
                    "activebool",
                    "boolean",
                    "Always true in the original database; the business maintains `active` instead",
                    is_read=False,
                ),
                Column(
                    "create_date",
                    "date",
                    "Day the customer record was created; may be later than the first rental",
                ),
                Column(
                    "last_update", "timestamp without time zone", "When the row last changed", nullable=True
                ),
                Column(
                    "active",
                    "integer",
                    "1 when the customer is active, that is, may rent; otherwise 0",
                    nullable=True,
                ),
            ),
            history=("store_id", "first_name", "last_name", "address_id", "active"),
        ),
        Table(
            "film",
            "one row per film",
            ("film_id",),
            (
                Column("film_id", "integer", "Identifier of the film"),
                Column("title", "character varying(255)", "Title"),
                Column("description", "text", "Summary of the plot", nullable=True),
                Column("release_year", "integer", "Year of release", nullable=True),
                Column("language_id", "smallint", "Identifier of the film's language"),
                Column("rental_duration", "smallint", "Number of days a copy may be kept"),
                Column("rental_rate", "numeric(4,2)", "Price of a rental, in dollars"),
                Column("length", "smallint", "Running time, in minutes", nullable=True),
                Column("replacement_cost", "numeric(5,2)", "Replacement cost of a copy, in dollars"),
                Column("rating", "mpaa_rating", "Age rating: G, PG, PG-13, R or NC-17", nullable=True),
                _LAST_UPDATE,
                Column("special_features", "text[]", "Extras on the disc", nullable=True),
                Column("fulltext", "tsvector", "Search index of title and description", is_read=False),
            ),
            history=(
                "title",
                "release_year",
                "language_id",
                "rental_duration",
                "rental_rate",
                "length",
                "replacement_cost",
                "rating",
            ),
        ),
        Table(
            "film_actor",
            "one row per actor and film",
            ("actor_id", "film_id"),
            (
                Column("actor_id", "smallint", "Identifier of the actor"),
                Column("film_id", "smallint", "Identifier of the film"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "film_category",
            "one row per film and category; each film has one category",
            ("film_id", "category_id"),
            (
                Column("film_id", "smallint", "Identifier of the film"),
                Column("category_id", "smallint", "Identifier of the category"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "inventory",
            "one row per copy of a film that a store owns",
            ("inventory_id",),
            (
                Column("inventory_id", "integer", "Identifier of the copy"),
                Column("film_id", "smallint", "Identifier of the film on the disc"),
                Column("store_id", "smallint", "Identifier of the store that owns the copy; not a foreign key"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "language",
            "one row per language",
            ("language_id",),
            (
                Column("language_id", "integer", "Identifier of the language"),
                Column("name", "character(20)", "Name of the language, padded with spaces"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "payment",
            "one row per payment; a rental may have no payment, one or several",
            ("payment_id",),
            (
                Column("payment_id", "integer", "Identifier of the payment"),
                Column(
                    "customer_id",
                    "smallint",
                    "Identifier of the customer who paid; may differ from the customer who rented",
                ),
                Column("staff_id", "smallint", "Identifier of the staff member who took the payment"),
                Column("rental_id", "integer", "Identifier of the rental that is paid for"),
                Column("amount", "numeric(5,2)", "Amount, in dollars; may be zero"),
                Column("payment_date", "timestamp without time zone", "Time of the payment"),
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "rental",
            "one row per rental of a copy",
            ("rental_id",),
            (
                Column("rental_id", "integer", "Identifier of the rental"),
                Column(
                    "rental_date",
                    "timestamp without time zone",
                    "Time of the rental, when the copy left the store",
                ),
                Column("inventory_id", "integer", "Identifier of the copy"),
                Column("customer_id", "smallint", "Identifier of the customer who rents"),
                Column(
                    "return_date",
                    "timestamp without time zone",
                    "Time the copy was returned; null while it is on loan",
                    nullable=True,
                ),
                Column("staff_id", "smallint", "Identifier of the staff member who handed out the copy"),
                _LAST_UPDATE,
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "staff",
            "one row per staff member",
            ("staff_id",),
            (
                Column("staff_id", "integer", "Identifier of the staff member"),
                Column("first_name", "character varying(45)", "First name"),
                Column("last_name", "character varying(45)", "Last name"),
                Column("address_id", "smallint", "Identifier of the staff member's address"),
                Column("email", "character varying(50)", "Email address", nullable=True, privacy=PERSONAL),
                Column("store_id", "smallint", "Identifier of the staff member's store; not a foreign key"),
                Column("active", "boolean", "Whether the staff member is employed"),
                Column("username", "character varying(16)", "Login name", privacy=PERSONAL, is_read=False),
                Column(
                    "password",
                    "character varying(40)",
                    "Password hash",
                    nullable=True,
                    privacy=SECRET,
                    is_read=False,
                ),
                _LAST_UPDATE,
                Column("picture", "bytea", "Photograph", nullable=True, privacy=SECRET, is_read=False),
            ),
            history=("first_name", "last_name", "store_id", "active"),
        ),
        Table(
            "store",
            "one row per store",
            ("store_id",),
            (
                Column("store_id", "integer", "Identifier of the store"),
                Column("manager_staff_id", "smallint", "Identifier of the store's manager"),
                Column("address_id", "smallint", "Identifier of the store's address"),
                _LAST_UPDATE,
            ),
            history=("manager_staff_id", "address_id"),
        ),
    ),
)
