"""Warehouses behind one interface: DuckDB, Snowflake and PostgreSQL. Queries, transactions, loads,
merges, locks.

Plain modules; only `resource` and `snowflake_resource` import Dagster, and only `dbt_plugin` imports dbt. Which
tables are written, and when, is decided by the folders that use this one.
"""
