"""The whole graph in production, over real sockets: source, Airbyte, Snowflake, dbt, checks, pages, logs, alerts.

The services are stand-ins; the commands, the clients, dbt and Dagster are those that a deployment has.
"""

from collections.abc import Iterator

import pytest

from dvd_rental_pipeline_tests.end_to_end.production_site import ProductionSite, running_production


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionSite]:
    with running_production(tmp_path_factory.mktemp("site")) as site:
        yield site


def test_first(site: ProductionSite) -> None:
    done = site.run("run")
    print(done.stdout, done.stderr)
    assert done.returncode == 0
