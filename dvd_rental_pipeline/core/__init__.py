"""What every other folder may use: errors, settings, the home folder, secrets, AWS clients, the catalogue's terms.

No Dagster in here, except in the modules that hold what we use of its private API.
"""
