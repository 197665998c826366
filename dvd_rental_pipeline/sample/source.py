"""Access to a source database, embedded or external."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from filelock import FileLock
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.sample.database_owner import as_owner
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.postgres.server_config import DEFAULT_DATABASE
from dvd_rental_pipeline.sample.sample_database import SampleDatabase


@dataclass(frozen=True)
class SourceStatus:
    """The state of a source, read without starting it. `kind` is embedded or external.

    `row_counts` are by table; None while the source has no tables or does not run.
    """

    kind: str
    running: bool
    url: str | None
    version: str | None
    wal_level: str | None
    row_counts: Mapping[str, int] | None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """A source database: `database` of the embedded server in `postgres_dir`, or the one at `external_url`."""

    postgres_dir: Path
    database: SampleDatabase
    external_url: str | None = None
    port: int | None = None

    @property
    def embedded(self) -> EmbeddedPostgres:
        """The embedded server.

        Raises:
            SourceError: the source is an external one.
        """
        if self.external_url is not None:
            raise SourceError(
                "DVD_RENTAL_SOURCE_URL names an external PostgreSQL, which this command must not change. "
                "Unset it to work with the embedded one."
            )
        return EmbeddedPostgres(self.postgres_dir, port=self.port)

    @contextmanager
    def lease(self) -> Iterator[str]:
        """Yield the URL of the database, possibly empty, on the embedded server, which runs meanwhile.

        Its user administers the server: it is for replacing the database, not for using it.

        Raises:
            SourceError: the source is an external one, or the server cannot be started.
        """
        with self.embedded.lease(self.database.name) as url:
            yield url

    @contextmanager
    def open(
        self, on_progress: Callable[[str], None], on_notice: Callable[[str], None] = lambda _: None
    ) -> Iterator[str]:
        """Yield the URL of the source database; an embedded one runs meanwhile, and is filled if it is new.

        A database that has the tables is never filled, whether they have rows or not: it was restored, or its
        rows were deleted. `on_notice` receives a sentence if the data are generated now.

        Raises:
            SourceError: the embedded server cannot be started, or its database cannot be filled.
        """
        if self.external_url is not None:
            yield self.external_url
            return
        with self.lease() as admin_url:
            # If two processes find the database empty, one of them fills it.
            with FileLock(self.postgres_dir / "sample.lock"):
                url = as_owner(admin_url)
                if self.database.tables.are_missing(url):
                    notice = (
                        f"The source had no data: the database {self.database.name} has generated sample data."
                    )
                    on_progress("The source has no data: generating sample data")
                    self.database.fill(admin_url, on_progress)
                    url = as_owner(admin_url)
                    on_notice(notice)
            yield url

    def status(self) -> SourceStatus:
        """Read the state without starting or changing anything. The URL is shown without a password.

        Raises:
            SourceError: the folder of the embedded server cannot be read.
        """
        if self.external_url is None:
            kind, url = "embedded", self.embedded.status(self.database.name).url
            url = as_owner(url) if url else None
        else:
            kind, url = "external", self.external_url
        stopped = SourceStatus(
            kind,
            running=False,
            url=without_password(url) if url else None,
            version=None,
            wal_level=None,
            row_counts=None,
        )
        if url is None:
            return stopped
        # The embedded server may run before the sample database was created.
        server_url = make_conninfo(url, dbname=DEFAULT_DATABASE) if self.external_url is None else url
        try:
            with psycopg.connect(server_url, connect_timeout=10) as connection:
                settings = connection.execute(
                    "select current_setting('server_version'), current_setting('wal_level')"
                ).fetchone()
            tables = self.database.tables
            counts = None if tables.are_missing(url) else tables.row_counts(url)
        except psycopg.OperationalError:
            return stopped
        version, wal_level = settings or (None, None)
        return SourceStatus(kind, True, without_password(url), version, wal_level, counts)


def without_password(url: str) -> str:
    """Return `url` with its password removed."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user_and_host = parts.netloc.replace(f":{parts.password}@", "@", 1)
    return urlunsplit(parts._replace(netloc=user_and_host))
