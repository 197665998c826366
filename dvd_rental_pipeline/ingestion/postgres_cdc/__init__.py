"""Change data capture from PostgreSQL into DuckDB: a snapshot, then the change stream. No Dagster in here.

`replicator.py` is the entry point: one sync, from top to bottom; `outcome.py` is what it returns. The folders
are its phases. A phase imports only phases before it:

- `connect`: sessions with the source, and what it is: server, tables, publication, replication slot.
- `plan`: the stored state of the last sync, and which tables are streamed and which are copied in full.
- `copy`: the rows of tables in a snapshot, as Arrow. Imports only `connect`.
- `stream`: the changes since the last sync, collected per table.
- `compact`: the last change of each key in a batch of changes.
- `write`: the raw tables. Takes batches of changes, and the Arrow readers of a snapshot.

Apart from a sync, `setup` is what a server needs so that changes can be captured (imports only `connect`), and
`verify` compares raw tables and the capture with the source.
"""
