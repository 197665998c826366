"""The documentation pages: entity-relationship diagrams, column lineage, dbt docs."""
