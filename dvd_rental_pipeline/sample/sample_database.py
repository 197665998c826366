"""The declaration of a sample database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dvd_rental_pipeline.sample.required_tables import RequiredTables


class Generator(Protocol):
    """Replaces a database by sample data, and returns the number of rows by table."""

    def __call__(
        self, url: str, *, scale: float, seed: int, on_progress: Callable[[str], None]
    ) -> Mapping[str, int]: ...


class Simulator(Protocol):
    """Executes business events on a database, and returns their number by kind."""

    def __call__(
        self,
        url: str,
        *,
        events: int,
        rate: float | None,
        seed: int | None,
        on_progress: Callable[[str], None],
    ) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class SampleDatabase:
    """A database of the embedded server.

    `name` is its name on the server. `fill(url, on_progress)` replaces the database that `url` names by sample
    data; it is called when none of `tables` has a row. `generate` and `simulate` are for the commands; None
    where there is nothing to generate or to simulate by a command.
    """

    name: str
    tables: RequiredTables
    fill: Callable[[str, Callable[[str], None]], object]
    generate: Generator | None = None
    simulate: Simulator | None = None
