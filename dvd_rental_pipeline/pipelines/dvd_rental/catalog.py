"""The 15 tables of the DVD rental database."""

from dvd_rental_pipeline.core.catalog import Column, Domain, FreshnessTier, Privacy, Table

PERSONAL = Privacy.PERSONAL
SECRET = Privacy.SECRET

_LAST_UPDATE = Column(
    "last_update", "timestamp without time zone", "When the row last changed, kept by a trigger"
)

DVD_RENTAL = Domain(
    name="dvd_rental",
    source_schema="public",
    description="The OLTP database of a chain of DVD rental stores.",
    owner="team:data_platform",
    tables=(
        Table(
            "actor",
            "one row an actor",
            ("actor_id",),
            (
                Column("actor_id", "integer", "Key of the actor; two actors may share a name"),
                Column("first_name", "character varying(45)", "First name"),
                Column("last_name", "character varying(45)", "Last name"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "address",
            "one row an address of a customer, a staff member or a store",
            ("address_id",),
            (
                Column("address_id", "integer", "Key of the address"),
                Column("address", "character varying(50)", "First line", privacy=PERSONAL),
                Column("address2", "character varying(50)", "Second line", nullable=True, privacy=PERSONAL),
                Column("district", "character varying(20)", "District or region; empty when not known"),
                Column("city_id", "smallint", "City of the address"),
                Column("postal_code", "character varying(10)", "Postal code", nullable=True, privacy=PERSONAL),
                Column("phone", "character varying(20)", "Phone number; empty if unknown", privacy=PERSONAL),
                _LAST_UPDATE,
            ),
            history=("district", "city_id"),
        ),
        Table(
            "category",
            "one row a film category",
            ("category_id",),
            (
                Column("category_id", "integer", "Key of the category"),
                Column("name", "character varying(25)", "Name of the category, the genre"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "city",
            "one row a city",
            ("city_id",),
            (
                Column("city_id", "integer", "Key of the city; two cities may share a name"),
                Column("city", "character varying(50)", "Name of the city"),
                Column("country_id", "smallint", "Country of the city"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "country",
            "one row a country",
            ("country_id",),
            (
                Column("country_id", "integer", "Key of the country"),
                Column("country", "character varying(50)", "Name of the country; it may hold commas"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "customer",
            "one row a customer",
            ("customer_id",),
            (
                Column("customer_id", "integer", "Key of the customer"),
                Column("store_id", "smallint", "Home store of the customer; no foreign key guards it"),
                Column("first_name", "character varying(45)", "First name", privacy=PERSONAL),
                Column("last_name", "character varying(45)", "Last name", privacy=PERSONAL),
                Column("email", "character varying(50)", "E-mail address", nullable=True, privacy=PERSONAL),
                Column("address_id", "smallint", "Address of the customer"),
                Column("activebool", "boolean", "Always true in the original: `active` is the real flag"),
                Column("create_date", "date", "When the record was made; may be later than the first rental"),
                Column(
                    "last_update", "timestamp without time zone", "When the row last changed", nullable=True
                ),
                Column("active", "integer", "1 while the customer may rent, else 0", nullable=True),
            ),
            history=("store_id", "first_name", "last_name", "address_id", "active"),
        ),
        Table(
            "film",
            "one row a film title",
            ("film_id",),
            (
                Column("film_id", "integer", "Key of the film"),
                Column("title", "character varying(255)", "Title"),
                Column("description", "text", "What the film is about", nullable=True),
                Column("release_year", "integer", "Year of release", nullable=True),
                Column("language_id", "smallint", "Language of the film"),
                Column("rental_duration", "smallint", "Days a copy may be kept"),
                Column("rental_rate", "numeric(4,2)", "Price of a rental, in dollars"),
                Column("length", "smallint", "Running time, in minutes", nullable=True),
                Column("replacement_cost", "numeric(5,2)", "What a lost copy costs, in dollars"),
                Column("rating", "mpaa_rating", "Age rating: G, PG, PG-13, R or NC-17", nullable=True),
                _LAST_UPDATE,
                Column("special_features", "text[]", "Extras on the disc", nullable=True),
                Column("fulltext", "tsvector", "Search index of title and description"),
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
            "one row an actor in a film",
            ("actor_id", "film_id"),
            (
                Column("actor_id", "smallint", "The actor"),
                Column("film_id", "smallint", "The film"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "film_category",
            "one row a category of a film; each film has one",
            ("film_id", "category_id"),
            (
                Column("film_id", "smallint", "The film"),
                Column("category_id", "smallint", "The category"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "inventory",
            "one row a copy of a film on a store's shelf",
            ("inventory_id",),
            (
                Column("inventory_id", "integer", "Key of the copy"),
                Column("film_id", "smallint", "The film on the disc"),
                Column("store_id", "smallint", "Store that owns the copy; no foreign key guards it"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "language",
            "one row a language",
            ("language_id",),
            (
                Column("language_id", "integer", "Key of the language"),
                Column("name", "character(20)", "Name of the language, blank-padded"),
                _LAST_UPDATE,
            ),
        ),
        Table(
            "payment",
            "one row a payment; a rental has none, one or several",
            ("payment_id",),
            (
                Column("payment_id", "integer", "Key of the payment"),
                Column("customer_id", "smallint", "Who paid; not always who rented"),
                Column("staff_id", "smallint", "Who took the payment"),
                Column("rental_id", "integer", "The rental that is paid for"),
                Column("amount", "numeric(5,2)", "Amount, in dollars; zero occurs"),
                Column("payment_date", "timestamp without time zone", "When it was paid"),
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "rental",
            "one row a rental of a copy",
            ("rental_id",),
            (
                Column("rental_id", "integer", "Key of the rental"),
                Column("rental_date", "timestamp without time zone", "When the copy left the store"),
                Column("inventory_id", "integer", "The copy"),
                Column("customer_id", "smallint", "Who rents"),
                Column(
                    "return_date", "timestamp without time zone", "When it came back, if it did", nullable=True
                ),
                Column("staff_id", "smallint", "Who handed it out"),
                _LAST_UPDATE,
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "staff",
            "one row a staff member",
            ("staff_id",),
            (
                Column("staff_id", "integer", "Key of the staff member"),
                Column("first_name", "character varying(45)", "First name"),
                Column("last_name", "character varying(45)", "Last name"),
                Column("address_id", "smallint", "Address of the staff member"),
                Column("email", "character varying(50)", "E-mail address", nullable=True, privacy=PERSONAL),
                Column("store_id", "smallint", "Store of the staff member; no foreign key guards it"),
                Column("active", "boolean", "Whether the staff member works here"),
                Column("username", "character varying(16)", "Log-in name", privacy=PERSONAL),
                Column("password", "character varying(40)", "Password hash", nullable=True, privacy=SECRET),
                _LAST_UPDATE,
                Column("picture", "bytea", "Photograph", nullable=True, privacy=SECRET),
            ),
            history=("first_name", "last_name", "store_id", "active"),
        ),
        Table(
            "store",
            "one row a store",
            ("store_id",),
            (
                Column("store_id", "integer", "Key of the store"),
                Column("manager_staff_id", "smallint", "Who manages the store"),
                Column("address_id", "smallint", "Address of the store"),
                _LAST_UPDATE,
            ),
            history=("manager_staff_id", "address_id"),
        ),
    ),
)
