"""Snapshot and change capture from PostgreSQL into a DuckDB warehouse. No Dagster in here.

`replicator.py` is the way in. The others, from the ground up: `session` (connections and what their failures
mean), `column_types` (PostgreSQL type to DuckDB type), `relations` (what the source says of its tables),
`publication` and `slot` (what is captured, and from where), `pgoutput` (the protocol's decoder), `folding`
(the last change of each key), `changes` (the stream of one sync), `state` (what the warehouse knows of the
source), `drift` (what became of a table since), `raw_tables` (writing), `snapshot` (full copies).
"""
