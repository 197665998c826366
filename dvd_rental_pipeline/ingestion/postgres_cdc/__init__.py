"""Change data capture from PostgreSQL into a DuckDB warehouse: snapshot, then change stream. No Dagster here.

`replicator.py` is the way in: one sync, from top to bottom. The folders are its phases, in their order:
`connect` (sessions, publication, slot), `plan` (which tables follow their changes, and which need a copy),
`copy` (full copies), `stream` (reading changes), `compact` (the last change of each key), `write` (raw tables),
and apart from any sync `verify` (whether both sides are equal). `outcome.py` is what a sync returns.
"""
