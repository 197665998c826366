"""Sample sources: an embedded PostgreSQL server, and what stands in for production systems.

Belongs here: the server (`postgres`), restoring dumps (`restore`), one folder per sample database with its
schema, generator and simulator, and one per sample API. Does not belong here: pipelines, catalogues, Dagster. A
sample database declares its own tables, so that a change of a pipeline's catalogue does not affect it.
"""
