"""The tables of the totesys database. `_prisma_migrations`, which is not one of them, is not ingested."""

from dvd_rental_pipeline.core.catalog import Column, Domain, FreshnessTier, Privacy, Table

_TIMES = (
    Column("created_at", "timestamp(3) without time zone", "When the row was created, in UTC"),
    Column(
        "last_updated", "timestamp(3) without time zone", "When the application last changed the row, in UTC"
    ),
)


def _id(name: str, of: str) -> Column:
    return Column(name, "integer", f"Identifier of the {of}")


_AGREED = (
    Column("agreed_delivery_date", "text", "Agreed day of delivery, as text; YYYY-MM-DD unless malformed"),
    Column("agreed_payment_date", "text", "Agreed day of payment, as text; YYYY-MM-DD unless malformed"),
    _id("agreed_delivery_location_id", "address of delivery"),
)

TOTESYS = Domain(
    name="totesys",
    source_schema="public",
    description="The back-end database of a wholesaler of designs.",
    owner="team:data_platform",
    ingestion_columns=(),
    tables=(
        Table(
            "address",
            "one row per address of a counterparty or of a delivery",
            ("address_id",),
            (
                _id("address_id", "address"),
                Column("address_line_1", "text", "First line"),
                Column("address_line_2", "text", "Second line", nullable=True),
                Column("district", "text", "District", nullable=True),
                Column("city", "text", "City"),
                Column("postal_code", "text", "Postal code"),
                Column("country", "text", "Country"),
                Column("phone", "text", "Phone number", privacy=Privacy.PERSONAL),
                *_TIMES,
            ),
        ),
        Table(
            "counterparty",
            "one row per customer or supplier",
            ("counterparty_id",),
            (
                _id("counterparty_id", "counterparty"),
                Column("counterparty_legal_name", "text", "Legal name"),
                _id("legal_address_id", "legal address"),
                Column("commercial_contact", "text", "Name of the contact", True, Privacy.PERSONAL),
                Column(
                    "delivery_contact", "text", "Name of the contact for deliveries", True, Privacy.PERSONAL
                ),
                *_TIMES,
            ),
        ),
        Table(
            "currency",
            "one row per currency",
            ("currency_id",),
            (
                _id("currency_id", "currency"),
                Column("currency_code", "character varying(3)", "Code of ISO 4217"),
                *_TIMES,
            ),
        ),
        Table(
            "department",
            "one row per department",
            ("department_id",),
            (
                _id("department_id", "department"),
                Column("department_name", "text", "Name"),
                Column("location", "text", "Place", nullable=True),
                Column("manager", "text", "Name of the manager", True, Privacy.PERSONAL),
                *_TIMES,
            ),
        ),
        Table(
            "design",
            "one row per design",
            ("design_id",),
            (
                _id("design_id", "design"),
                Column("design_name", "text", "Name; several designs share one"),
                Column("file_location", "text", "Folder of the design's file"),
                Column("file_name", "text", "Name of the design's file"),
                *_TIMES,
            ),
        ),
        Table(
            "payment_type",
            "one row per kind of payment",
            ("payment_type_id",),
            (
                _id("payment_type_id", "kind of payment"),
                Column("payment_type_name", '"PaymentTypeName"', "Name, such as SALES_RECEIPT"),
                *_TIMES,
            ),
        ),
        Table(
            "staff",
            "one row per member of staff",
            ("staff_id",),
            (
                _id("staff_id", "member of staff"),
                Column("first_name", "text", "First name"),
                Column("last_name", "text", "Last name"),
                _id("department_id", "department"),
                Column("email_address", "text", "Email address", privacy=Privacy.PERSONAL),
                *_TIMES,
            ),
        ),
        Table(
            "sales_order",
            "one row per order of a customer",
            ("sales_order_id",),
            (
                _id("sales_order_id", "sales order"),
                *_TIMES,
                _id("design_id", "design"),
                _id("staff_id", "member of staff"),
                _id("counterparty_id", "customer"),
                Column("units_sold", "integer", "Number of units"),
                Column("unit_price", "numeric(10,2)", "Price of a unit"),
                _id("currency_id", "currency of the price"),
                *_AGREED,
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "purchase_order",
            "one row per order from a supplier",
            ("purchase_order_id",),
            (
                _id("purchase_order_id", "purchase order"),
                *_TIMES,
                _id("staff_id", "member of staff"),
                _id("counterparty_id", "supplier"),
                Column("item_code", "text", "Code of the item"),
                Column("item_quantity", "integer", "Number of items"),
                Column("item_unit_price", "numeric(10,2)", "Price of an item"),
                _id("currency_id", "currency of the price"),
                *_AGREED,
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "transaction",
            "one row per order, of either kind",
            ("transaction_id",),
            (
                _id("transaction_id", "transaction"),
                Column("transaction_type", '"TransactionType"', "SALE or PURCHASE"),
                Column("sales_order_id", "integer", "Identifier of the sales order", nullable=True),
                Column("purchase_order_id", "integer", "Identifier of the purchase order", nullable=True),
                *_TIMES,
            ),
            FreshnessTier.TRANSACTIONS,
        ),
        Table(
            "payment",
            "one row per payment of a transaction, due or paid",
            ("payment_id",),
            (
                _id("payment_id", "payment"),
                *_TIMES,
                _id("transaction_id", "transaction"),
                _id("counterparty_id", "counterparty"),
                Column("payment_amount", "numeric(10,2)", "Amount"),
                _id("currency_id", "currency of the amount"),
                _id("payment_type_id", "kind of payment"),
                Column("paid", "boolean", "Whether it is paid"),
                Column("payment_date", "text", "Day when it is due, as text; YYYY-MM-DD unless malformed"),
                Column("company_ac_number", "integer", "Own account", privacy=Privacy.SECRET),
                Column("counterparty_ac_number", "integer", "The other account", privacy=Privacy.SECRET),
            ),
            FreshnessTier.TRANSACTIONS,
        ),
    ),
)
