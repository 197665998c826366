"""What every other folder may use: errors, settings, home folder, secrets, AWS clients, terms of the catalogue.

No Dagster in here, except in the modules that hold what we use of its private API.
"""
