"""The resources of the signups pipeline: the API of new users, and the database that stores them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg

from dvd_rental_pipeline.core.settings import ENV_PREFIX, Deployment, Settings, SettingsError
from dvd_rental_pipeline.ingestion.http.json_client import JsonClient
from dvd_rental_pipeline.pipelines.signups.store import SignupsStore, open_store
from dvd_rental_pipeline.sample.database_owner import as_owner
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.customers import read_customer_emails
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api

_DATABASE = "signups"


class SignupsApiResource(dg.ConfigurableResource[Any]):
    """The API at `url`; without one, a local server of sample users if `is_local`.

    Some of the sample users are customers in the rental database of the embedded server in `postgres_dir`, if
    users are stored on that server.
    """

    url: str | None
    batch_size: int
    nationalities: str | None
    postgres_dir: str | None
    port: int | None
    is_local: bool

    @contextmanager
    def open(self, on_retry: Callable[[str], None]) -> Iterator[JsonClient]:
        """Yield a client; `on_retry` gets a message before each retry.

        Raises:
            SettingsError: the deployment has no URL.
            SourceError: the embedded server cannot be started.
        """
        if self.url is not None:
            yield JsonClient(self.url, on_retry=on_retry)
            return
        if not self.is_local:
            raise _missing("signups_api_url")
        with running_signups_api() as api:
            if self.postgres_dir is not None:
                with EmbeddedPostgres(Path(self.postgres_dir), port=self.port).lease() as rentals:
                    api.customers = read_customer_emails(as_owner(rentals))
            yield JsonClient(api.url, on_retry=on_retry)


class SignupsDatabaseResource(dg.ConfigurableResource[Any]):
    """The database at `url`; without one, that of the embedded server in `postgres_dir` if `is_local`."""

    url: str | None
    postgres_dir: str
    port: int | None
    is_local: bool

    @contextmanager
    def open(self) -> Iterator[SignupsStore]:
        """Yield the store, whose tables exist.

        Raises:
            SettingsError: the deployment has no URL.
            SourceError: the embedded server cannot be started.
            SignupsStoreError: the database cannot be used.
        """
        if self.url is not None:
            with open_store(self.url) as store:
                yield store
            return
        if not self.is_local:
            raise _missing("signups_database_url")
        server = EmbeddedPostgres(Path(self.postgres_dir), port=self.port)
        with server.lease() as server_url:
            _create_database(server_url)
            with open_store(server.url(_DATABASE)) as store:
                yield store


def resource_factories(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    """The factories of both, by key."""
    is_local = settings.deployment is Deployment.LOCAL
    # By reference: a resource's configuration is shown in the UI.
    url = dg.EnvVar(f"{ENV_PREFIX}SIGNUPS_DATABASE_URL") if settings.signups_database_url is not None else None
    return {
        "signups_api": lambda: SignupsApiResource(
            url=settings.signups_api_url,
            batch_size=settings.signups_batch_size,
            nationalities=settings.signups_nationalities,
            postgres_dir=str(settings.postgres_dir) if url is None else None,
            port=settings.source_port,
            is_local=is_local,
        ),
        "signups_database": lambda: SignupsDatabaseResource(
            url=url, postgres_dir=str(settings.postgres_dir), port=settings.source_port, is_local=is_local
        ),
    }


def _create_database(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as admin:
        if admin.execute("select from pg_database where datname = %s", [_DATABASE]).fetchone() is None:
            # Another process may create it meanwhile: which of the two errors that is depends on the moment.
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                admin.execute(f"create database {_DATABASE} template template0")


def _missing(name: str) -> SettingsError:
    description = Settings.model_fields[name].description
    return SettingsError(
        f"The signups pipeline needs {ENV_PREFIX}{name.upper()} in this deployment: {description}. Set it in "
        "the environment or in .env."
    )
