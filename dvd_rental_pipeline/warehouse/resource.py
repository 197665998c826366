"""The warehouse as a Dagster resource, and which one a deployment gets."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import dagster as dg
from pydantic import Field

from dvd_rental_pipeline.core.settings import ENV_PREFIX, Settings
from dvd_rental_pipeline.warehouse.deployment import WarehouseKind, warehouse_kind
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import IncomingRows, Reader, Rows, Session, TableName, Warehouse
from dvd_rental_pipeline.warehouse.postgres_warehouse import PostgresWarehouse


class WarehouseResource(dg.ConfigurableResource, Warehouse):  # type: ignore[type-arg]
    """Configuration of a warehouse, usable as the warehouse itself."""

    @abstractmethod
    def to_warehouse(self) -> Warehouse:
        """The warehouse that is configured."""

    def reading(self) -> AbstractContextManager[Reader]:
        return self.to_warehouse().reading()

    def credits_by_tag(self, since: date) -> Rows | None:
        return self.to_warehouse().credits_by_tag(since)

    def create_schema(self, name: str) -> None:
        self.to_warehouse().create_schema(name)

    def export(self, statements: Mapping[Path, str]) -> Mapping[Path, int]:
        return self.to_warehouse().export(statements)

    def transaction(self) -> AbstractContextManager[Session]:
        return self.to_warehouse().transaction()

    def load_all(self, incoming: Mapping[TableName, IncomingRows]) -> Mapping[TableName, int]:
        return self.to_warehouse().load_all(incoming)

    def merge(self, table: TableName, rows: IncomingRows, key: Sequence[str]) -> int:
        return self.to_warehouse().merge(table, rows, key)

    def lock(self, schemas: Collection[str], on_wait: Callable[[str], None]) -> AbstractContextManager[None]:
        return self.to_warehouse().lock(schemas, on_wait)


class DuckDBWarehouseResource(WarehouseResource):
    """A DuckDB file."""

    path: str

    def to_warehouse(self) -> DuckDBWarehouse:
        return DuckDBWarehouse(Path(self.path))


class PostgresWarehouseResource(WarehouseResource):
    """A PostgreSQL database."""

    url: str = Field(repr=False, description="Its URL, by reference: it may contain a password")

    def to_warehouse(self) -> PostgresWarehouse:
        return PostgresWarehouse(self.url)


def build_warehouse_resource(settings: Settings) -> WarehouseResource:
    """The warehouse of this deployment.

    Raises:
        SettingsError: settings of the warehouse are missing.
    """
    match warehouse_kind(settings):
        case WarehouseKind.DUCKDB:
            return DuckDBWarehouseResource(path=str(settings.warehouse_path))
        case WarehouseKind.POSTGRES:
            return PostgresWarehouseResource(url=dg.EnvVar(f"{ENV_PREFIX}WAREHOUSE_URL"))
        case WarehouseKind.SNOWFLAKE:
            # Importing it takes seconds, which `local` need not spend.
            from dvd_rental_pipeline.warehouse.snowflake_resource import (  # noqa: PLC0415
                SnowflakeWarehouseResource,
            )

            return SnowflakeWarehouseResource.from_settings(settings)
