"""Personal columns are masked in Snowflake, with the policy that the account set-up creates."""

from pathlib import Path

import pytest

from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables

STATEMENT = """
    {%- set node = graph.nodes[var("node")] -%}
    [{{ masking_statement(node.relation_name, node) if execute }}]
"""


@pytest.fixture
def dbt(tmp_path: Path) -> Dbt:
    return Dbt(RawTables(tmp_path))


def test_every_personal_column_gets_the_policy_in_production(dbt: Dbt) -> None:
    pytest.importorskip("dbt.adapters.snowflake", reason="needs dbt-snowflake")
    masked = _compile(dbt, "model.dvd_rental.dim_customer")
    policy = "set masking policy DVD_RENTALS.governance.personal_text force"
    names = ("customer_name", "first_name", "last_name", "email", "address", "postal_code", "phone")
    columns = ", ".join(f"column {name} {policy}" for name in names)
    assert f"[alter table DVD_RENTALS.marts.dim_customer modify {columns}]" in masked
    created = [each.creates for each in Account([]).statements() if each.creates]
    made = [each.name for each in created if "POLICY" in each.kind]
    assert made == ["DVD_RENTALS.GOVERNANCE.PERSONAL_TEXT"], "dbt sets a policy that the account does not have"


def _compile(dbt: Dbt, node: str) -> str:
    return dbt(
        "compile", "--target", "production", "--no-populate-cache", "--no-introspect", "--quiet",
        "--vars", f"{{node: {node}}}", "--inline", STATEMENT,
    ).stdout  # fmt: skip
