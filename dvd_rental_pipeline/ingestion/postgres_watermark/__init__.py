"""Ingestion of PostgreSQL tables by a watermark, for sources without a change stream: new versions of rows are
landed as files.

No Dagster and no pipeline in here.
"""
