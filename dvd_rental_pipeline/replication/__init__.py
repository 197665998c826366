"""Snapshot and change capture from PostgreSQL into a DuckDB warehouse. No Dagster in here.

`replicator.py` is the way in. The others, from the ground up: `session` (connections and what their failures
mean), `column_types` (PostgreSQL type to DuckDB type), `relations` (what the source says of its tables),
`publication` and `slot` (what is captured, and from where), `pgoutput` (the protocol's decoder), `folding`
(the last change of each key), `changes` (the stream of one sync), `state` (what the warehouse knows of the
source), `continuity` (whether the log can be read on), `drift` (what became of a table since), `past_states`
(what rows were before), `raw_tables` (writing), `snapshot` (full copies), `outcome` (what a sync tells),
`verification` (whether both sides are equal).
"""
