"""What every other folder may use: errors, settings, home folder, secrets, AWS clients, catalogue terms.

No Dagster in here except in `private_api/`, and nothing about one source, warehouse or pipeline.
"""
