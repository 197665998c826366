"""The names that we import from Dagster's and dbt's private modules, each in one place.

A private name may move or change in any release. All other modules import it from here; each entry names the
public alternative or says that there is none, and a contract test asserts what we rely on. Code of our own does
not belong here, nor do public names, which are imported from `dagster` and `dagster_dbt`.
"""
