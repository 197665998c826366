"""The harness that lets each row with a history change once."""

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline_tests.end_to_end.one_change_per_row import one_change_per_row

RENAME = "update customer set first_name = first_name || 'X' where customer_id = 1"


def test_only_the_second_change_of_a_row_is_refused(database_url: str) -> None:
    generate(database_url, scale=0.02)
    with psycopg.connect(database_url, autocommit=True) as connection:
        with one_change_per_row(database_url):
            connection.execute(RENAME)
            with pytest.raises(psycopg.errors.ForeignKeyViolation, match="customer 1 has changed already"):
                connection.execute(RENAME)
            simulate(database_url, events=100, seed=1)
        connection.execute(RENAME)
