"""The table of new users that is replicated: columns, key, privacy, freshness tier."""

from dvd_rental_pipeline.core.catalog import Column, Domain, FreshnessTier, Privacy, Table

PERSONAL = Privacy.PERSONAL

# A column that is private in one table is hidden wherever its name appears. `title` and `city`, public in
# the rental database, identify no one by themselves.
SIGNUPS = Domain(
    name="signups",
    source_schema="signups",
    description="New users, as an API gives them every minute.",
    owner="team:marketing",
    tables=(
        Table(
            "users",
            "one row per user who signed up",
            ("user_uuid",),
            (
                Column("user_uuid", "uuid", "Identifier of the user, given by the API"),
                Column("gender", "text", "female or male"),
                Column("title", "text", "Form of address", is_read=False),
                Column("first_name", "text", "First name", privacy=PERSONAL, is_read=False),
                Column("last_name", "text", "Last name", privacy=PERSONAL, is_read=False),
                Column("email", "text", "E-mail address", privacy=PERSONAL),
                Column("username", "text", "Name of the account", privacy=PERSONAL, is_read=False),
                Column("date_of_birth", "date", "Day of birth", privacy=PERSONAL),
                Column(
                    "registered_at",
                    "timestamp with time zone",
                    "When the account was registered, by the API",
                    is_read=False,
                ),
                Column("phone", "text", "Phone number", privacy=PERSONAL, is_read=False),
                Column("cell", "text", "Mobile phone number", privacy=PERSONAL, is_read=False),
                Column("nationality", "text", "Nationality, two letters of ISO 3166", is_read=False),
                Column("street_number", "integer", "House number", privacy=PERSONAL, is_read=False),
                Column("street_name", "text", "Street", privacy=PERSONAL, is_read=False),
                Column("city", "text", "City", is_read=False),
                Column("state", "text", "State or region", is_read=False),
                Column("country", "text", "Name of the country, in English"),
                Column("postcode", "text", "Postal code", privacy=PERSONAL, is_read=False),
                Column("latitude", "numeric(9,6)", "Latitude in degrees", privacy=PERSONAL, is_read=False),
                Column("longitude", "numeric(9,6)", "Longitude in degrees", privacy=PERSONAL, is_read=False),
                Column(
                    "first_seen_at", "timestamp with time zone", "When the user was first loaded: the sign-up"
                ),
                Column(
                    "updated_at",
                    "timestamp with time zone",
                    "When the row was last written with a difference",
                ),
            ),
            tier=FreshnessTier.TRANSACTIONS,
        ),
    ),
)
