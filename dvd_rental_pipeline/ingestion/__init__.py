"""How rows arrive, for any source: `postgres_cdc` replicates itself, `airbyte` runs Airbyte, `http` reads APIs.

`resource.py` is the interface of replication, which the first two implement as Dagster resources. No module in
here names a pipeline, and transformations of the rows belong to `transform`.
"""
