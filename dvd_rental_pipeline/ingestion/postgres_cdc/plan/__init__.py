"""The stored state of the last sync, the schema drift since, and the plan: stream or copy each table."""
