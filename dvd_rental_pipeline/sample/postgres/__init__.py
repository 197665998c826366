"""The embedded PostgreSQL server: programs, cluster, supervisor, and how processes share it."""
