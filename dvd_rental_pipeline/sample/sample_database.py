"""The declaration of a sample database."""

from collections.abc import Callable
from dataclasses import dataclass

from dvd_rental_pipeline.sample.required_tables import RequiredTables


@dataclass(frozen=True)
class SampleDatabase:
    """A database of the embedded server.

    `name` is its name on the server. `fill(url, on_progress)` replaces the database that `url` names by sample
    data; it is called when none of `tables` has a row.
    """

    name: str
    tables: RequiredTables
    fill: Callable[[str, Callable[[str], None]], object]
