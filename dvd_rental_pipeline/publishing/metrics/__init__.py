"""The state of the platform as metrics for Prometheus.

They are read from Dagster's storage alone: a scrape never opens the warehouse.
"""
