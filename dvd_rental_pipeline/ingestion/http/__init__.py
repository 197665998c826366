"""Reading JSON APIs over HTTP: requests, limits and retries.

Belongs here: what any API needs. What a response must contain belongs to the pipeline that reads it. No
Dagster.
"""
