"""Reaching the source database, embedded or external, ready to be read."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from filelock import FileLock

from dvd_rental_pipeline.sample.database import is_empty, row_counts
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres

SAMPLE_SCALE = 1.0


@dataclass(frozen=True)
class SourceStatus:
    """What is known of the source without starting it. `row_counts` is by table."""

    kind: str
    running: bool
    url: str | None
    version: str | None
    wal_level: str | None
    row_counts: Mapping[str, int] | None

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """Where the source database is: in the embedded server of `postgres_dir`, or at `external_url`."""

    postgres_dir: Path
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
    def open(self, on_progress: Callable[[str], None]) -> Iterator[str]:
        """Yield the URL of the source database; the embedded one runs, and holds data, meanwhile.

        An embedded database without any data, as on the very first run, is filled with sample data.
        """
        if self.external_url is not None:
            yield self.external_url
            return
        with self.embedded.lease() as url:
            # Of two processes that find it empty, one fills it.
            with FileLock(self.postgres_dir / "sample.lock"):
                if is_empty(url):
                    on_progress(f"The source is empty: generating sample data at scale {SAMPLE_SCALE:g}")
                    generate(url, scale=SAMPLE_SCALE, progress=on_progress)
            yield url

    def status(self) -> SourceStatus:
        """Look, without starting or changing anything. The URL is shown without a password.

        Raises:
            SourceError: the folder of the embedded server cannot be read.
        """
        kind = "embedded" if self.external_url is None else "external"
        url = self.embedded.status().url if self.external_url is None else self.external_url
        if url is None:
            return SourceStatus(kind, running=False, url=None, version=None, wal_level=None, row_counts=None)
        try:
            with psycopg.connect(url, connect_timeout=10) as connection:
                found = connection.execute(
                    "select current_setting('server_version'), current_setting('wal_level')"
                ).fetchone()
            counts = None if is_empty(url) else row_counts(url)
        except psycopg.OperationalError:
            return SourceStatus(
                kind, running=False, url=without_password(url), version=None, wal_level=None, row_counts=None
            )
        version, wal_level = found or (None, None)
        return SourceStatus(kind, True, without_password(url), version, wal_level, counts)


def without_password(url: str) -> str:
    """`url` as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user_and_host = parts.netloc.replace(f":{parts.password}@", "@", 1)
    return urlunsplit(parts._replace(netloc=user_and_host))
