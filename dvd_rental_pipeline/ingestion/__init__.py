"""How rows arrive, for any source: change data capture from PostgreSQL, by itself or by Airbyte.

No module in here names a pipeline.
"""
