"""The configuration of the embedded server."""

import re

import pytest

from dvd_rental_pipeline.sample.postgres.server_config import postgresql_conf

GIB = 2**30


@pytest.mark.parametrize(
    ("free_gib", "retained"), [(1, "4GB"), (20, "4GB"), (55, "11GB"), (160, "32GB"), (2000, "32GB")]
)
def test_a_slot_retains_a_fifth_of_the_free_disk_within_bounds(free_gib: int, retained: str) -> None:
    conf = postgresql_conf(5432, None, free_gib * GIB)
    assert re.findall(r"^max_slot_wal_keep_size = '(.*)'$", conf, re.MULTILINE) == [retained]
