"""What a deployment plugs into the graph: ingestion, warehouse, dbt, site, alerts, and the log of runs."""
