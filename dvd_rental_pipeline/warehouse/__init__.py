"""The warehouses: sessions, queries, transactions and write locks of DuckDB and Snowflake, and their Dagster resources.

What is written, and when, is decided elsewhere.
"""
