"""dbt as assets: the project and its manifest, models, tests as asset checks, exposures."""
