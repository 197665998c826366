"""Pages for people: the site, the check report, documentation with diagrams and column lineage.

Modules render what dbt's manifest, the warehouse and the Dagster instance contain; they compute no new data.
Business reports are dbt models. Nothing here names a pipeline.
"""
