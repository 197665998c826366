"""Fill the DVD rental database with sample data."""

from collections.abc import Callable
from datetime import datetime
from importlib.resources import files

import numpy as np
import psycopg
from psycopg import sql

from dvd_rental_pipeline.sample.dvd_rental.generator.bulk_copy import (
    copy_columns,
    copy_rows,
    integers,
    money,
    smallints,
    timestamps,
)
from dvd_rental_pipeline.sample.dvd_rental.generator.clock import NEVER, micros
from dvd_rental_pipeline.sample.dvd_rental.generator.films import (
    Films,
    Stock,
    film_actor_rows,
    film_category_rows,
    film_rows,
)
from dvd_rental_pipeline.sample.dvd_rental.generator.payments import PaymentHistory, Payments
from dvd_rental_pipeline.sample.dvd_rental.generator.people import (
    Customers,
    actor_rows,
    customer_rows,
    staff_rows,
)
from dvd_rental_pipeline.sample.dvd_rental.generator.places import addresses, read_world
from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan
from dvd_rental_pipeline.sample.dvd_rental.generator.reference_data import ReferenceData
from dvd_rental_pipeline.sample.dvd_rental.generator.rentals import Rentals, rental_history
from dvd_rental_pipeline.sample.dvd_rental.generator.words import CATEGORIES, LANGUAGES
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.staged_database import staged_database

_AFTER_LOADING = "-- after loading"
_STOCK_CHUNK_ROWS = 200_000


def generate(
    url: str,
    *,
    scale: float = 1.0,
    seed: int = 42,
    until: datetime | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Replace the database that `url` names by sample data; return the number of rows by table.

    The same seed, scale and `until` give identical rows. `until` is the end of the four years of history, in
    the server's local time and without a zone (default: now, in whole minutes). Scale 1 is about the size of
    the original; see `SamplePlan` for larger scales. Rentals and payments are streamed; memory grows with the
    copies only, from 70 MB to about 260 MB at scale 1000 (16 million rentals).

    Raises:
        SourceError: an argument is out of range, or the database cannot be replaced. The old data are then
            unchanged.
    """
    report = on_progress or (lambda _: None)
    if until is not None and until.tzinfo is not None:
        raise SourceError("`until` must be without a time zone: the schema's timestamps have none.")
    SamplePlan.make(scale, seed, until or datetime.max)  # fails early if an argument is out of range
    with staged_database(url, DVD_RENTAL_TABLES) as staged_url, psycopg.connect(staged_url) as connection:
        plan = SamplePlan.make(scale, seed, until or _now(connection))
        tables, constraints = _read_schema()
        connection.execute("set local synchronous_commit = off")
        connection.execute("set local maintenance_work_mem = '128MB'")
        connection.execute(tables)
        _fill(connection, plan, report)
        report("Building indexes and foreign keys")
        connection.execute(constraints)
        _set_sequences(connection)
        connection.execute("analyze")
        connection.commit()
        connection.close()
        return DVD_RENTAL_TABLES.row_counts(staged_url)


def _read_schema() -> tuple[sql.SQL, sql.SQL]:
    """Return the statements to execute before and after loading."""
    text = files("dvd_rental_pipeline.sample.dvd_rental").joinpath("schema.sql").read_text(encoding="utf-8")
    tables, _, constraints = text.partition(f"\n{_AFTER_LOADING}\n")
    return sql.SQL(tables), sql.SQL(constraints)


def _now(connection: psycopg.Connection) -> datetime:
    row = connection.execute("select date_trunc('minute', localtimestamp)").fetchone()
    if not row:
        raise SourceError("The source database returned no time.")
    now: datetime = row[0]
    return now


def _fill(connection: psycopg.Connection, plan: SamplePlan, report: Callable[[str], None]) -> None:
    reference = ReferenceData.make(plan)
    report(f"Generating {plan.films:,} films and {plan.customers:,} customers")
    _copy_films(connection, plan, reference.films)
    _copy_people(connection, plan, reference.customers)
    report(f"Generating {plan.copies:,} copies")
    _copy_stock(connection, plan, reference.stock)
    _copy_rentals_and_payments(connection, reference, report)


def _copy_films(connection: psycopg.Connection, plan: SamplePlan, films: Films) -> None:
    for table, names in (("language", LANGUAGES), ("category", CATEGORIES)):
        copy_rows(
            connection,
            table,
            (f"{table}_id", "name", "last_update"),
            ((key, name, plan.start) for key, name in enumerate(names, start=1)),
        )
    copy_rows(connection, "actor", ("actor_id", "first_name", "last_name", "last_update"), actor_rows(plan))
    copy_rows(
        connection,
        "film",
        (
            *(
                "film_id",
                "title",
                "description",
                "release_year",
                "language_id",
                "rental_duration",
                "rental_rate",
            ),
            *("length", "replacement_cost", "rating", "last_update", "special_features"),
        ),
        film_rows(plan, films),
    )
    copy_rows(connection, "film_category", ("film_id", "category_id", "last_update"), film_category_rows(plan))
    copy_rows(connection, "film_actor", ("actor_id", "film_id", "last_update"), film_actor_rows(plan))


def _copy_people(connection: psycopg.Connection, plan: SamplePlan, customers: Customers) -> None:
    world = read_world()
    copy_rows(
        connection,
        "country",
        ("country_id", "country", "last_update"),
        ((key, name, plan.start) for key, name in enumerate(world.countries, start=1)),
    )
    copy_rows(
        connection,
        "city",
        ("city_id", "city", "country_id", "last_update"),
        ((key, city, country, plan.start) for key, (city, country) in enumerate(world.cities, start=1)),
    )
    # Addresses: first the stores', then the staff's, then the customers'.
    staff = plan.stores * plan.staff_per_store
    copy_rows(
        connection,
        "address",
        ("address_id", "address", "address2", "district", "city_id", "postal_code", "phone", "last_update"),
        addresses(plan, world, plan.stores + staff + customers.count),
    )
    copy_rows(
        connection,
        "staff",
        (
            *("staff_id", "first_name", "last_name", "address_id", "email", "store_id", "active", "username"),
            *("password", "last_update", "picture"),
        ),
        staff_rows(plan, plan.stores + 1),
    )
    copy_rows(
        connection,
        "store",
        ("store_id", "manager_staff_id", "address_id", "last_update"),
        ((key, key, key, plan.start) for key in range(1, plan.stores + 1)),
    )
    copy_rows(
        connection,
        "customer",
        (
            *("customer_id", "store_id", "first_name", "last_name", "email", "address_id", "activebool"),
            *("create_date", "last_update", "active"),
        ),
        customer_rows(plan, customers, plan.stores + staff + 1),
    )


def _copy_stock(connection: psycopg.Connection, plan: SamplePlan, stock: Stock) -> None:
    for first in range(0, stock.count, _STOCK_CHUNK_ROWS):
        part = slice(first, first + _STOCK_CHUNK_ROWS)
        rows = len(stock.film[part])
        copy_columns(
            connection,
            "inventory",
            {
                "inventory_id": integers(np.arange(first + 1, first + 1 + rows)),
                "film_id": smallints(stock.film[part] + 1),
                "store_id": smallints(stock.store[part] + 1),
                "last_update": timestamps(np.full(rows, micros(plan.start))),
            },
        )


def _copy_rentals_and_payments(
    connection: psycopg.Connection, reference: ReferenceData, report: Callable[[str], None]
) -> None:
    history = PaymentHistory(reference)
    paid = 0
    for rentals in rental_history(reference):
        _copy_rentals(connection, rentals)
        paid += _copy_payments(connection, history.pay(rentals), paid)
        report(f"Generating rentals: {rentals.rental_id[-1]:,} of {reference.plan.rentals:,}")
    _copy_payments(connection, history.finish(), paid)


def _copy_rentals(connection: psycopg.Connection, rentals: Rentals) -> None:
    copy_columns(
        connection,
        "rental",
        {
            "rental_id": integers(rentals.rental_id),
            "rental_date": timestamps(rentals.rented),
            "inventory_id": integers(rentals.copy + 1),
            "customer_id": smallints(rentals.customer + 1),
            "return_date": timestamps(rentals.returned),
            "staff_id": smallints(rentals.staff_id),
            "last_update": timestamps(np.where(rentals.returned == NEVER, rentals.rented, rentals.returned)),
        },
    )


def _copy_payments(connection: psycopg.Connection, payments: Payments, count_before: int) -> int:
    copy_columns(
        connection,
        "payment",
        {
            "payment_id": integers(np.arange(count_before + 1, count_before + 1 + payments.count)),
            "customer_id": smallints(payments.customer + 1),
            "staff_id": smallints(payments.staff_id),
            "rental_id": integers(payments.rental_id),
            "amount": money(payments.cents),
            "payment_date": timestamps(payments.paid),
        },
    )
    return payments.count


def _set_sequences(connection: psycopg.Connection) -> None:
    for table, key in DVD_RENTAL_TABLES.primary_keys.items():
        if len(key) == 1:
            connection.execute(
                sql.SQL("select setval(pg_get_serial_sequence({}, {}), max({})) from {}").format(
                    table, key[0], sql.Identifier(key[0]), sql.Identifier(table)
                )
            )
