"""The tables of the DVD rental database, as `schema.sql` creates them."""

from dvd_rental_pipeline.sample.required_tables import RequiredTables

DVD_RENTAL_TABLES = RequiredTables(
    "DVD rental",
    {
        "actor": ("actor_id",),
        "address": ("address_id",),
        "category": ("category_id",),
        "city": ("city_id",),
        "country": ("country_id",),
        "customer": ("customer_id",),
        "film": ("film_id",),
        "film_actor": ("actor_id", "film_id"),
        "film_category": ("film_id", "category_id"),
        "inventory": ("inventory_id",),
        "language": ("language_id",),
        "payment": ("payment_id",),
        "rental": ("rental_id",),
        "staff": ("staff_id",),
        "store": ("store_id",),
    },
)
