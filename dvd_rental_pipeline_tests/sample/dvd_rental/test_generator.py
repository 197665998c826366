"""The generated data: deterministic, consistent, and with the irregularities of the original."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline_tests.sample.queries import fingerprint, rows, value


def test_scale_1_has_about_the_size_of_the_original(sample_url: str) -> None:
    counts = DVD_RENTAL_TABLES.row_counts(sample_url)

    assert {name: counts[name] for name in ("rental", "customer", "film", "inventory", "store", "staff")} == {
        "rental": 16_044, "customer": 599, "film": 1000, "inventory": 4581, "store": 2, "staff": 2,
    }  # fmt: skip
    assert (counts["country"], counts["city"], counts["category"], counts["actor"]) == (109, 600, 16, 200)
    assert 13_000 < counts["payment"] < 17_000
    assert 4_500 < counts["film_actor"] < 6_500


def test_same_seed_gives_identical_rows_and_another_seed_others(
    database_url: str, small_sample_url: str, sample_until: datetime
) -> None:
    generate(database_url, scale=0.05, until=sample_until)
    again = fingerprint(database_url)
    generate(database_url, scale=0.05, until=sample_until, seed=43)
    other = fingerprint(database_url)

    assert again == fingerprint(small_sample_url)
    for table in ("customer", "film", "inventory", "rental", "payment", "staff", "address"):
        assert other[table] != again[table], table


def test_row_counts_are_returned_and_progress_reported(database_url: str) -> None:
    progress: list[str] = []

    counts = generate(database_url, scale=0.05, on_progress=progress.append)

    assert counts == DVD_RENTAL_TABLES.row_counts(database_url)
    assert any("rentals" in text for text in progress)


@pytest.mark.parametrize("hour", [2, 23])
def test_smallest_history_is_recent_at_any_time_of_day(database_url: str, hour: int) -> None:
    until = datetime(2026, 7, 1, hour, 5)

    generate(database_url, scale=0.01, until=until)

    latest = value(database_url, "select max(rental_date) from rental")
    assert timedelta(0) <= until - latest < timedelta(days=2)


def test_history_ends_now_by_default(database_url: str) -> None:
    generate(database_url, scale=0.02)

    age = value(database_url, "select localtimestamp - max(rental_date) from rental")
    assert timedelta(0) <= age < timedelta(days=2)


def test_new_row_gets_the_next_key(database_url: str) -> None:
    generate(database_url, scale=0.02)

    with psycopg.connect(database_url) as connection:
        added = connection.execute(
            "insert into country (country) values ('Atlantis') returning country_id"
        ).fetchone()
    assert added == (110,)


_VIOLATIONS: dict[str, LiteralString] = {
    "a copy is rented twice at the same time": """
        select from rental a join rental b using (inventory_id)
        where a.rental_id < b.rental_id and b.rental_date < coalesce(a.return_date, 'infinity')
    """,
    "a copy is returned before it is rented": "select from rental where return_date <= rental_date",
    "anything happens after the end": """
        select from rental, (values (timestamp '2026-03-14 15:30')) as history (until)
        where rental_date > until or return_date > until
        union all select from payment where payment_date > '2026-03-14 15:30'
        union all select from customer where create_date > '2026-03-14' or last_update > '2026-03-14 15:30'
    """,
    "a customer rents before joining": """
        select from rental join customer using (customer_id) where rental_date::date < create_date
    """,
    "a payment precedes its rental": """
        select from payment join rental using (rental_id) where payment_date < rental_date
    """,
    "an inactive customer rented in the last weeks": """
        select from rental join customer using (customer_id) where active = 0 and rental_date > '2026-02-20'
    """,
    "a store reference is dangling": """
        select from customer where store_id not in (select store_id from store)
        union all select from staff where store_id not in (select store_id from store)
        union all select from inventory where store_id not in (select store_id from store)
    """,
    "a film has not exactly one category": """
        select from film left join film_category using (film_id) group by film_id having count(category_id) <> 1
    """,
    "a price, duration or length is out of range": """
        select from film where rental_rate not in (0.99, 2.99, 4.99) or rental_duration not between 3 and 7
            or replacement_cost not between 9.99 and 29.99 or length not between 46 and 185
    """,
    "two films share a title": "select from film group by title having count(*) > 1",
    "two people share a user name": "select from staff group by username having count(*) > 1",
    "a manager belongs to another store": """
        select from store join staff on staff_id = manager_staff_id where staff.store_id <> store.store_id
    """,
    "an amount is negative": "select from payment where amount < 0",
    "keys do not follow the order of time": """
        select from (select rental_date, lag(rental_date) over (order by rental_id) as before from rental) as r
        where rental_date < before
        union all
        select from (select payment_date, lag(payment_date) over (order by payment_id) as before from payment) p
        where payment_date < before
    """,
    "a rental is at night": "select from rental where extract(hour from rental_date) between 1 and 7",
}


@pytest.mark.parametrize("violation", _VIOLATIONS)
@pytest.mark.parametrize("sample", ["sample_url", "small_sample_url"])
def test_no_row_violates_a_rule(violation: str, sample: str, request: pytest.FixtureRequest) -> None:
    assert rows(request.getfixturevalue(sample), _VIOLATIONS[violation]) == []


_CASES: dict[str, tuple[LiteralString, int, int]] = {
    "films without a copy": (
        "select count(*) from film where film_id not in (select film_id from inventory)", 42, 42,
    ),
    "films without an actor": (
        "select count(*) from film where film_id not in (select film_id from film_actor)", 3, 3,
    ),
    "names that several actors share": (
        "select count(*) from (select from actor group by first_name, last_name having count(*) > 1) a", 1, 9,
    ),
    "cities with the same name in several countries": (
        "select count(*) from (select from city group by city having count(distinct country_id) > 1) c", 1, 20,
    ),
    "country names with a comma": ("select count(*) from country where country like '%,%'", 3, 20),
    "blank-padded languages": (
        "select count(*) from language where octet_length(name) = 20", 6, 6,
    ),
    "late returns": (
        "select count(*) from rental join inventory using (inventory_id) join film using (film_id)"
        " where return_date - rental_date > rental_duration * interval '1 day'", 7_000, 9_000,
    ),
    "copies rented now": (
        "select count(*) from rental where return_date is null and rental_date > '2026-02-12'", 30, 200,
    ),
    "copies lost": (
        "select count(*) from rental where return_date is null and rental_date < '2026-01-01'", 10, 100,
    ),
    "unpaid rentals": (
        "select count(*) from rental where rental_id not in (select rental_id from payment)", 1_000, 3_500,
    ),
    "rentals paid five times": (
        "select count(*) from (select from payment group by rental_id having count(*) = 5) as r", 1, 20,
    ),
    "payments by another customer": (
        "select count(*) from payment p join rental r using (rental_id)"
        " where p.customer_id <> r.customer_id", 4, 60,
    ),
    "payments of zero": ("select count(*) from payment where amount = 0", 10, 50),
    "payments with a late fee": ("select count(*) from payment where amount > 4.99", 1_000, 5_000),
    "payments months later": (
        "select count(*) from payment join rental using (rental_id)"
        " where payment_date - rental_date > interval '60 days'", 500, 3_000,
    ),
    "payments to the microsecond": (
        "select count(*) from payment where extract(microseconds from payment_date)::int % 1000 > 0",
        10_000, 17_000,
    ),
    "rentals of another store's copy by the customer": (
        "select count(*) from rental join inventory i using (inventory_id) join customer c using (customer_id)"
        " where i.store_id <> c.store_id", 2_000, 8_000,
    ),
    "rentals of another store's copy by the staff": (
        "select count(*) from rental join inventory i using (inventory_id) join staff s using (staff_id)"
        " where i.store_id <> s.store_id", 1_000, 8_000,
    ),
    "inactive customers": ("select count(*) from customer where active = 0", 10, 20),
    "active customers": ("select count(*) from customer where activebool and active = 1", 570, 590),
    "customers who never rented": (
        "select count(*) from customer where customer_id not in (select customer_id from rental)", 1, 60,
    ),
    "customers of this year": ("select count(*) from customer where create_date >= '2026-01-01'", 5, 60),
    "customers without e-mail": ("select count(*) from customer where email is null", 1, 20),
    "customers without a last update": ("select count(*) from customer where last_update is null", 1, 20),
    "names beyond ASCII": ("select count(*) from customer where first_name || last_name ~ '[^ -~]'", 20, 300),
    "empty second address lines": ("select count(*) from address where address2 = ''", 400, 603),
    "missing second address lines": ("select count(*) from address where address2 is null", 1, 30),
    "empty postal codes": ("select count(*) from address where postal_code = ''", 1, 30),
    "empty districts": ("select count(*) from address where district = ''", 1, 30),
    "empty phones": ("select count(*) from address where phone = ''", 1, 30),
    "films with several features": (
        "select count(*) from film where cardinality(special_features) > 1", 500, 900,
    ),
    "pictures": ("select count(*) from staff where picture is not null and password is not null", 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("case", _CASES)
def test_special_cases_occur_as_often_as_intended(case: str, sample_url: str) -> None:
    query, minimum, maximum = _CASES[case]

    assert minimum <= value(sample_url, query) <= maximum


def test_small_sample_contains_the_special_cases_too(small_sample_url: str) -> None:
    required = {
        "films without a copy", "films without an actor", "names that several actors share",
        "inactive customers", "rentals paid five times", "customers who never rented",
        "customers without e-mail", "copies rented now", "unpaid rentals", "empty phones",
        "missing second address lines", "late returns",
    }  # fmt: skip
    missing = [case for case in required if value(small_sample_url, _CASES[case][0]) == 0]

    assert missing == []


def test_rentals_grow_and_follow_seasons(sample_url: str) -> None:
    years = dict(
        rows(sample_url, "select extract(year from rental_date)::int, count(*) from rental group by 1")
    )
    weekdays = dict(
        rows(sample_url, "select extract(isodow from rental_date)::int, count(*) from rental group by 1")
    )
    hours = dict(
        rows(sample_url, "select extract(hour from rental_date)::int, count(*) from rental group by 1")
    )
    months = dict(
        rows(
            sample_url,
            "select extract(month from rental_date)::int, count(*) from rental"
            " where rental_date between '2023-01-01' and '2026-01-01' group by 1",
        )
    )

    assert years[2023] < years[2024] < years[2025]
    assert weekdays[6] > 1.5 * weekdays[2]
    assert hours[19] > 3 * hours[9]
    assert months[1] + months[12] > 1.15 * (months[4] + months[9])


def test_popularity_of_films_and_customers_is_skewed(sample_url: str) -> None:
    films = [
        count
        for (count,) in rows(
            sample_url,
            "select count(*) from rental join inventory using (inventory_id) group by film_id order by 1 desc",
        )
    ]
    customers = [
        count
        for (count,) in rows(sample_url, "select count(*) from rental group by customer_id order by 1 desc")
    ]

    assert sum(films[: len(films) // 10]) > 0.25 * sum(films)
    assert sum(customers[: len(customers) // 10]) > 0.2 * sum(customers)


def test_customers_stop_renting(sample_url: str) -> None:
    gone = value(
        sample_url,
        "select count(*) from (select from rental group by customer_id"
        " having max(rental_date) < '2025-09-01' and count(*) > 5) as gone",
    )

    assert gone > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": 1e9}, "scale"),
        ({"seed": -1}, "seed"),
        ({"until": datetime(2026, 1, 1, tzinfo=UTC)}, "time zone"),
    ],
)
def test_argument_out_of_range_is_refused_before_any_change(
    database_url: str, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        generate(database_url, **arguments)  # type: ignore[arg-type]

    assert DVD_RENTAL_TABLES.row_counts(database_url) == {}


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_memory_is_bounded_as_the_data_grow(database_url: str, tmp_path: Path) -> None:
    program = tmp_path / "measure.py"
    program.write_text(
        "import resource, sys\n"
        "from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate\n"
        "counts = generate(sys.argv[1], scale=float(sys.argv[2]))\n"
        "print(counts['rental'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )

    def measure(scale: float) -> tuple[int, int]:
        output = subprocess.run(
            [sys.executable, program, database_url, str(scale)], capture_output=True, text=True, check=True
        ).stdout.split()
        return int(output[0]), int(output[1])

    small_rows, small_kilobytes = measure(10)
    large_rows, large_kilobytes = measure(100)

    assert large_rows == 10 * small_rows
    assert large_kilobytes < 1.6 * small_kilobytes
