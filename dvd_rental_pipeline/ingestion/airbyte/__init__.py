"""Airbyte as configuration: what its source, destination and connection should be, and bringing them there.

No Dagster in here; running syncs is the business of `resources/airbyte_ingestion.py`. From the ground up:
`errors` (what Airbyte's refusals mean), `api` (the client), `wanted` (from settings and catalogue to Airbyte's
own terms), `plan` (the difference, and making it go away).
"""
