"""Snapshot and change capture from PostgreSQL into a DuckDB warehouse. No Dagster in here.

`replicator.py` is the way in. The others, from the ground up: `session` (connections and what their failures
mean), `column_types` (PostgreSQL type to DuckDB type), `relations` (what the source says of its tables),
`publication` and `slot` (what is captured, and from where), `pgoutput` (the protocol's decoder, message by
message), `message_blocks` (thousands of messages at once), `folding` (the last change of each key, by
`fold_columns` where it can and by `fold_rows` where it must, as `folded`), `changes` (the stream of one sync),
`state` (what the warehouse knows of the source), `continuity` (whether the log can be read on), `drift` (what
became of a table since), `past_states` (what rows were before), `raw_tables` (writing), `snapshot` (reading
full copies), `outcome` (what a sync tells), `attempt`, `following` and `copying` (one sync's work),
`verification` (whether both sides are equal).
"""
