"""The dbt project as Dagster assets: models, tests as asset checks, exposures as consumers.

`manifest.py` is the only reader of dbt's manifest. What is built from models for people is in publishing/;
checks that are not dbt tests are in quality/. Nothing here names a pipeline.
"""
