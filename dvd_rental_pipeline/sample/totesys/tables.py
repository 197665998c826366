"""The tables of the totesys database, as `schema.sql` creates them."""

from dvd_rental_pipeline.sample.required_tables import RequiredTables

TOTESYS_TABLES = RequiredTables(
    "totesys",
    {
        table: (f"{table}_id",)
        for table in (
            "address",
            "counterparty",
            "currency",
            "department",
            "design",
            "payment",
            "payment_type",
            "purchase_order",
            "sales_order",
            "staff",
            "transaction",
        )
    },
)
