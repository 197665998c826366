"""Credits of the statements of this project, by day, asset and check."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SnowflakeLogin]:
    with SnowflakeStandIn(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield SnowflakeLogin.from_settings(Settings.load(Path("/none")))


def grant(login: SnowflakeLogin) -> None:
    """What the design of the account grants for the cost report."""
    statements = [each.sql for each in Account(raw_schemas=[]).statements()]
    (database_role,) = [sql for sql in statements if "database role" in sql]
    with open_snowflake(login, {}) as session:
        session.execute("create role if not exists TRANSFORMER")
        session.execute("create warehouse if not exists TRANSFORMING")
        session.execute("grant usage on warehouse TRANSFORMING to role TRANSFORMER")
        session.execute(database_role)


def test_credits_are_those_of_the_tags_and_of_no_other_application(login: SnowflakeLogin) -> None:
    warehouse = SnowflakeWarehouse(login, {"deployment": "production"})
    with pytest.raises(WarehouseError, match="QUERY_ATTRIBUTION_HISTORY"):
        warehouse.credits_by_tag(YESTERDAY)
    grant(login)
    for tags in ({"asset": "marts/dim_film"}, {"asset": "marts/dim_film"}, {"check": "has_rows"}):
        with open_snowflake(login, tags) as session:
            session.execute("select count(*) from values (1), (2)")
    with open_snowflake(login, {}) as session:
        session.execute("""alter session set query_tag = '{"app": "another", "asset": "marts/dim_film"}'""")
        session.execute("select count(*) from values (1), (2), (3)")
    used = warehouse.credits_by_tag(YESTERDAY)
    assert used is not None
    found = {(asset, check): amount for _, asset, check, amount in used.values}
    assert set(found) == {("marts/dim_film", None), (None, "has_rows"), (None, None)}
    assert all(amount > 0 for amount in found.values())
    assert {day for day, *_ in used.values} <= {YESTERDAY, YESTERDAY + timedelta(days=1)}
    later = warehouse.credits_by_tag(YESTERDAY + timedelta(days=3))
    assert later is not None
    assert list(later.values) == []
