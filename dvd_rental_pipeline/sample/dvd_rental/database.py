"""The DVD rental database as a sample database of the embedded server."""

from collections.abc import Callable

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.sample_database import SampleDatabase

_SCALE = 1.0


def _fill(url: str, on_progress: Callable[[str], None]) -> None:
    generate(url, scale=_SCALE, on_progress=on_progress)


DVD_RENTAL_DATABASE = SampleDatabase("dvdrental", DVD_RENTAL_TABLES, _fill, generate, simulate)
