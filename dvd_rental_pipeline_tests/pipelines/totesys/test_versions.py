"""The data versions of the tables in the warehouse."""

from dvd_rental_pipeline.pipelines.totesys.versions import read_totesys_versions
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps


def test_a_version_changes_with_the_rows_of_its_table(loaded_steps: Steps) -> None:
    steps = loaded_steps
    first = read_totesys_versions(steps.warehouse)
    steps.load()
    assert read_totesys_versions(steps.warehouse) == first
    steps.source("update payment set paid = not paid, last_updated = timezone('UTC', now())")
    steps.run()
    after = read_totesys_versions(steps.warehouse)
    assert {table.name for table in first if after[table] != first[table]} >= {"fact_payment"}
    assert {table.name for table in first if after[table] == first[table]} >= {"dim_currency", "dim_date"}


def test_other_surrogate_keys_are_another_version(loaded_steps: Steps) -> None:
    steps = loaded_steps
    first = read_totesys_versions(steps.warehouse)
    with steps.warehouse.transaction() as transaction:
        transaction.execute("update totesys.fact_payment set payment_record_id = payment_record_id + 1")
    after = read_totesys_versions(steps.warehouse)
    assert {table.name for table in first if after[table] != first[table]} == {"fact_payment"}
