"""The warehouses, DuckDB and Snowflake: sessions, queries, transactions, write locks, Dagster resources.

What is written, and when, is decided elsewhere.
"""
