"""Ingestion by Airbyte: the configuration of its source, destination and connection, and running its syncs.

In order of dependency: `errors` (refusals and outages as messages), `transport` (HTTP: login and retries),
`client` (the API calls in use), `desired_config` (from settings and catalogue to Airbyte's fields), `plan`
(compare and apply), `resource` (the Dagster resource that runs syncs). Only `resource` imports Dagster. The
set-up of the source database does not belong here: see `ingestion/postgres_cdc/setup/`.
"""
