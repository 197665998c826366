"""dbt's own unit tests: the logic of the models on made-up rows."""

import re
from pathlib import Path

from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables, fill


def test_every_unit_test_of_the_models_passes(home: Path) -> None:
    raw = RawTables(home)
    fill(raw)
    done = Dbt(raw)("build", "--exclude-resource-type", "test")
    counted = re.search(r"Finished running .*?(\d+) unit tests", done.stdout)
    assert counted, done.stdout
    assert int(counted.group(1)) > 20
