"""How rows reach the raw tables, for any source: `postgres_cdc` replicates itself, `airbyte` runs Airbyte,
`http` reads JSON APIs.

`resource.py` is the interface that the first two implement, as Dagster resources. No module in here names a pipeline,
and transformations of the rows belong to `transform`.
"""
