"""Sample sources: an embedded PostgreSQL server, and the databases and APIs that stand in for production systems.

Belongs here: the server (`postgres`), restoring dumps (`restore`), `signups_api`, and one folder per sample database with its
schema, generator and simulator. Does not belong here: pipelines, catalogues, Dagster. A sample database
declares its own tables, so that a change of a pipeline's catalogue does not affect it.
"""
