"""The embedded PostgreSQL and the sample data in it: server, restore of dumps, and per source its schema,
generator and simulated traffic.

No pipeline and no Dagster in here: the sample databases stand in for what a business already has.
"""
