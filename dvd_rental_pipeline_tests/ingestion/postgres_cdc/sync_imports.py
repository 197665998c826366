"""What the fork server of `killed_sync` imports before it forks: everything that a sync needs."""

import atexit
import os

import dvd_rental_pipeline_tests.ingestion.postgres_cdc.killed_sync  # noqa: F401

# Exit immediately: DuckDB's module would otherwise print warnings about leaked objects.
atexit.register(os._exit, 0)
