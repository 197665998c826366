"""Settings of a warehouse in PostgreSQL."""

import os

from pydantic import BaseModel, Field, SecretStr


class PostgresWarehouseSettings(BaseModel):
    """The PostgreSQL database that is the warehouse."""

    warehouse_url: SecretStr | None = Field(
        None, description="a PostgreSQL (15 or newer) to use as the warehouse; unset means the DuckDB file"
    )

    def export_postgres_warehouse(self) -> None:
        """Set the environment variables that dbt's profile reads."""
        if self.warehouse_url is None:
            return
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - other warehouses do not need it

        parts = conninfo_to_dict(self.warehouse_url.get_secret_value())
        os.environ["DBT_WAREHOUSE_HOST"] = str(parts.get("host") or "localhost")
        os.environ["DBT_WAREHOUSE_PORT"] = str(parts.get("port") or 5432)
        os.environ["DBT_WAREHOUSE_DBNAME"] = str(parts.get("dbname") or "postgres")
        os.environ["DBT_WAREHOUSE_USER"] = str(parts.get("user") or "postgres")
        os.environ["DBT_WAREHOUSE_SSLMODE"] = str(parts.get("sslmode") or "prefer")
        if "passfile" in parts:
            # The profile has no such field; libpq reads the variable where no password is given.
            os.environ["PGPASSFILE"] = str(parts["passfile"])
        # dbt hides the values of variables with this prefix in its logs.
        os.environ["DBT_ENV_SECRET_WAREHOUSE_PASSWORD"] = str(parts.get("password") or "")
