"""The totesys database as a sample database of the embedded server."""

from collections.abc import Callable

from dvd_rental_pipeline.sample.sample_database import SampleDatabase
from dvd_rental_pipeline.sample.totesys.generate import generate
from dvd_rental_pipeline.sample.totesys.tables import TOTESYS_TABLES
from dvd_rental_pipeline.sample.totesys.traffic import simulate


def _fill(url: str, on_progress: Callable[[str], None]) -> None:
    on_progress("The source is empty: generating totesys sample data at scale 1")
    generate(url, on_progress=on_progress)


TOTESYS_DATABASE = SampleDatabase("totesys", TOTESYS_TABLES, _fill, generate, simulate)
