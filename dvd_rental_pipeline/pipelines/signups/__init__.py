"""The signups pipeline: new users from an HTTP API every minute, validated, into PostgreSQL.

`batch` asks for a minute's users, `validation` with `user.schema.json` decides which are loaded, `store` holds
the tables, `load` combines them, `assets` gives them to Dagster.
"""
