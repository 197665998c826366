"""The assets: raw tables, dbt models, and who consumes the reports."""
