"""Personal columns are masked in Snowflake as soon as a table exists, with the policy of the account set-up."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dbt.contracts.graph.nodes import ModelNode, SnapshotNode

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.stand_ins.snowflake.airbyte_tables import columns_of
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up

POLICY = "DVD_RENTALS.governance.personal_text"
# A view with personal columns, a snapshot without a contract, a table with one, and what they need.
SELECTED = "+customer_versions +dim_customer +fct_signup"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    """An account that is set up, with empty raw tables."""
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        domains = (DVD_RENTAL, SIGNUPS)
        set_up(server, [domain.name for domain in domains])
        with server.connect() as session, session.cursor() as cursor:
            for schema, table in [(domain.name, table) for domain in domains for table in domain.tables]:
                columns = ", ".join(f'"{name}" {type_}' for name, type_ in columns_of(table))
                cursor.execute(f'create table {schema.upper()}."{table.name.upper()}" ({columns})')
        yield server


@pytest.fixture
def dbt(
    tmp_path: Path, parsed_project: ParsedProject, server: SnowflakeStandIn, monkeypatch: pytest.MonkeyPatch
) -> Dbt:
    pytest.importorskip("dbt.adapters.snowflake", reason="needs dbt-snowflake")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return Dbt(RawTables(tmp_path), parsed_project)


def personal_columns(project: ParsedProject) -> Mapping[str, set[str]]:
    """The personal columns of models and snapshots in upper case, by schema and name of the relation."""
    found = {
        f"{node.schema}.{node.alias}".upper(): {
            name.upper() for name, column in node.columns.items() if column.config.meta.get("pii")
        }
        for node in project.manifest("production").nodes.values()
        if isinstance(node, ModelNode | SnapshotNode)
    }
    return {name: columns for name, columns in found.items() if columns}


def test_no_personal_table_ever_exists_without_its_policy(dbt: Dbt, server: SnowflakeStandIn) -> None:
    dbt("build", "--select", SELECTED, "--exclude-resource-type", "test", target="production")
    expected = personal_columns(dbt.project)
    built = []
    for statement in server.statements():
        created = re.match(
            r"\s*(/\*.*?\*/)?\s*create\s+(or\s+replace\s+)?(?P<kinds>(\w+\s+)*?)(table|view)\s+(?P<name>\S+)",
            statement["sql"],
            re.IGNORECASE | re.DOTALL,
        )
        if created is None or "temporary" in created["kinds"].lower():
            # A temporary one is visible in its own session only.
            continue
        name = created["name"].upper().removeprefix("DVD_RENTALS.")
        if columns := expected.get(name):
            built.append(name)
            masked = {
                each.upper().strip('"')
                for each in re.findall(
                    rf'(["\w]+)(?: [\w() ,]*?)? with masking policy {POLICY}', statement["sql"]
                )
            }
            assert masked == columns, statement["sql"]
    assert {"MARTS.DIM_CUSTOMER", "SNAPSHOTS.CUSTOMER_VERSIONS", "STAGING.STG_DVD_RENTAL__CUSTOMER"} <= set(
        built
    )
    assert not any(" set masking policy" in statement["sql"] for statement in server.statements())


def test_no_incremental_model_has_personal_columns(parsed_project: ParsedProject) -> None:
    """dbt adds a new column to such a table without its policy."""
    incremental = {
        f"{node.schema}.{node.alias}".upper()
        for node in parsed_project.manifest("production").nodes.values()
        if node.config.materialized == "incremental"
    }
    assert incremental
    assert not incremental & set(personal_columns(parsed_project))


def test_the_policy_is_the_one_of_the_account() -> None:
    created = [each.creates for each in Account([]).statements() if each.creates]
    made = [each.name for each in created if "POLICY" in each.kind]
    assert made == [POLICY.upper()]


@pytest.mark.slow
def test_without_policies_reporters_get_views_without_personal_columns(
    dbt: Dbt, server: SnowflakeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Snowflake's Standard edition, which refuses a policy."""
    before = len(server.statements())
    monkeypatch.setenv("DVD_RENTAL_SNOWFLAKE_EDITION", "standard")
    dbt("run", "--select", "+dim_customer", target="production")
    statements = [statement["sql"] for statement in server.statements()[before:]]
    assert not any("masking policy" in sql for sql in statements)
    found = server.query(
        "select upper(column_name) from information_schema.columns where table_name = 'DIM_CUSTOMER_PUBLIC'"
    )
    columns = {row[0] for row in found}
    assert "CUSTOMER_ID" in columns
    assert not columns & personal_columns(dbt.project)["MARTS.DIM_CUSTOMER"]


def test_in_the_standard_edition_reporters_read_views_alone() -> None:
    account = Account([DVD_RENTAL.name], has_policies=False)
    grants = {
        (grant.grantee, grant.kind, grant.name.rpartition(".")[2])
        for statement in account.statements()
        for grant in statement.grants
        if grant.privilege == "SELECT" and grant.grantee != "TRANSFORMER"
    }
    assert grants == {
        (role, kind, schema)
        for role, kind in (("REPORTER", "VIEW"), ("PII_READER", "TABLE"))
        for schema in ("MARTS", "REPORTS")
    }
    assert not any("masking policy" in statement.sql for statement in account.statements())
