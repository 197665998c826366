"""The DVD rental pipeline: PostgreSQL, replicated into a warehouse, modelled with dbt, as one Dagster graph.

Imports nothing, so that a light process (the PostgreSQL watchdog) can use one module without paying
for Dagster.
"""
