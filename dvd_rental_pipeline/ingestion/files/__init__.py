"""Files as a way in: object stores, and an immutable landing zone whose runs become visible by a manifest.

No Dagster and no pipeline in here.
"""
