"""Makes dbt share the DuckDB file: a dbt-duckdb plugin, which `dbt/profiles.yml` names.

With `keep_open: false` dbt-duckdb closes its connection after each node and calls the plugin before it connects
again. The plugin has a connection of its own, so that the file stays open and connecting again costs nothing,
and closes it when another process waits for the file. This needs `threads: 1`: with more, some node is always
connected.
"""

from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.events.logging import AdapterLogger

from dvd_rental_pipeline.warehouse.duckdb_file import hold_duckdb, is_awaited

_logger = AdapterLogger("DuckDB")


class Plugin(BasePlugin):
    """The class that dbt-duckdb looks for, by this name."""

    _held: duckdb.DuckDBPyConnection | None = None

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Between two nodes: let another process open the file, if one waits, then wait for it in turn.

        Raises:
            WarehouseError: another process kept the file open for longer than the limit.
        """
        path = Path(creds.path)
        if self._held is not None:
            if not is_awaited(path):
                return
            self._held.close()
        self._held = hold_duckdb(path, yield_first=self._held is not None, on_wait=_logger.info)
