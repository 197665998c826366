"""How groups are shown in tables of layers."""

import pytest

from dvd_rental_pipeline.core.groups import table_group


@pytest.mark.parametrize(
    ("group", "layer", "shown"),
    [
        ("reports_marketing", "reports", "reports"),
        ("marts", "marts", "marts"),
        ("sales", "reports", "sales"),
        ("totesys_reports", "reports", "totesys_reports"),
        ("raw", "", "raw"),
    ],
)
def test_the_groups_of_the_teams_are_shown_as_their_layer(group: str, layer: str, shown: str) -> None:
    assert table_group(group, layer) == shown
