"""The design of the account: complete, in order, with least privilege. Compared as text, not executed."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import schema_prefix
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.warehouse.snowflake_account.design import (
    LAYERS,
    USERS,
    WAREHOUSES,
    Account,
    AccountObject,
    Grant,
    read_credits,
    read_public_keys,
)
from dvd_rental_pipeline.warehouse.snowflake_account.difference import full_plan
from dvd_rental_pipeline.warehouse.snowflake_account.spending import workloads
from dvd_rental_pipeline_tests.stand_ins.snowflake.account_objects import SYSTEM_ROLES

FULL = Account(
    [DVD_RENTAL.name],
    public_keys=dict.fromkeys(USERS, "MIIB"),
    allowed_ips=["198.51.100.0/24"],
    loaded_schemas=["totesys"],
    storage_role="arn:aws:iam::123456789012:role/dvd-rental-snowflake",
    buckets={"LANDING": "s3://landing", "PROCESSED": "s3://processed/lake"},
)
# Statements that sqlglot 30 does not parse.
UNREAD = ("create resource monitor", "alter resource monitor", "alter warehouse", "create masking policy",
          "alter masking policy", "create role", "create user", "alter user", "create network policy",
          "alter network policy", "grant role", "grant database role", "grant apply on masking",
          "grant select on all", "grant select on future",
          "create storage integration", "alter storage integration", "alter stage")  # fmt: skip


def grants(role: str) -> set[Grant]:
    return {grant for each in FULL.statements() for grant in each.grants if grant.grantee == role}


def test_every_object_is_created_before_it_is_needed() -> None:
    made = {AccountObject("ROLE", role) for role in SYSTEM_ROLES}
    for statement in FULL.statements():
        assert set(statement.needs) <= made, statement.sql
        if statement.creates is not None:
            assert statement.creates not in made, f"{statement.creates} is created twice"
            made.add(statement.creates)


def test_every_statement_can_be_repeated() -> None:
    for statement in FULL.statements():
        assert statement.sql.startswith("create ") == (statement.creates is not None)
        assert not statement.sql.startswith("insert ") or " where not exists " in statement.sql
        assert statement.creates is None or " if not exists " in statement.sql, statement.sql
        assert "or replace" not in statement.sql, "replacing would drop the grants on it"


def test_every_statement_names_the_objects_it_creates_and_grants() -> None:
    for statement in FULL.statements():
        if statement.creates is not None:
            assert (
                f"{statement.creates.kind.lower()} if not exists {statement.creates.name} "
                in f"{statement.sql} "
            )
        for grant in statement.grants:
            assert grant.privilege.lower() in statement.sql or grant.kind == "ROLE"
            assert grant.name in statement.sql
            assert statement.sql.endswith(grant.grantee)


@pytest.mark.parametrize("sql", [each.sql for each in FULL.statements()])
def test_every_statement_is_valid_snowflake_sql(sql: str) -> None:
    # The parser knows CREATE SCHEMA, but not this clause.
    parsed = sqlglot.parse(sql.removesuffix(" with managed access"), dialect="snowflake")
    assert len(parsed) == 1
    known = not isinstance(parsed[0], exp.Command)
    assert known or sql.startswith(UNREAD), f"the parser does not know {sql}"


def test_the_loader_reads_no_layer_and_the_reporter_writes_nothing() -> None:
    layers = {f"DVD_RENTALS.{layer}" for layer in LAYERS}
    assert not {grant.name for grant in grants("LOADER")} & layers
    assert {grant.privilege for grant in grants("REPORTER")} == {"USAGE", "SELECT"}
    assert {grant.name for grant in grants("REPORTER") if grant.kind == "SCHEMA"} == {
        "DVD_RENTALS.MARTS",
        "DVD_RENTALS.REPORTS",
    }
    raw = f"DVD_RENTALS.{DVD_RENTAL.name.upper()}"
    assert {grant.privilege for grant in grants("TRANSFORMER") if grant.name == raw} == {"USAGE", "SELECT"}


def test_each_domain_has_a_raw_schema_with_the_same_grants() -> None:
    both = Account(["dvd_rental", "signups"]).statements()
    one = [each.sql for each in Account(["dvd_rental"]).statements()]
    assert [each.sql for each in both if "SIGNUPS" not in each.sql] == one
    raw = [sql for sql in one if "DVD_RENTALS.DVD_RENTAL" in sql]
    assert raw
    added = [each.sql for each in both if "SIGNUPS" in each.sql]
    assert added == [sql.replace("DVD_RENTALS.DVD_RENTAL", "DVD_RENTALS.SIGNUPS") for sql in raw]


def test_the_full_script_has_every_statement() -> None:
    """Another administrator runs it: monitors and network policies must be bound, not only created."""
    lines = [line for line in full_plan(FULL).script.splitlines() if not line.startswith("use role ")]
    assert lines == [f"{statement.sql};" for statement in FULL.statements()]


def test_each_warehouse_has_a_monitor_of_its_own_that_fits_the_schedule() -> None:
    bound = dict(
        re.findall(
            r"alter warehouse (\w+) set resource_monitor = (\w+)", "\n".join(s.sql for s in FULL.statements())
        )
    )
    assert set(bound) == set(WAREHOUSES.values())
    assert len(set(bound.values())) == len(bound), "loading must not suspend reporting"
    for workload in workloads():
        assert FULL.credits[workload.warehouse] > workload.credits > 0
    loading = {each.warehouse: each for each in workloads(96)}["LOADING"]
    # 31 days, 96 starts, 60 s of loading and 60 s until it suspends.
    assert loading.credits == pytest.approx(31 * 96 * 120 / 3600)


@pytest.mark.parametrize("option", ["LOADING", "NOWHERE=3", "LOADING=0", "LOADING=many"])
def test_a_limit_that_cannot_be_read_is_named(option: str) -> None:
    with pytest.raises(PipelineError, match=f"--credits {option}"):
        read_credits([option])


def test_the_grant_on_present_tables_runs_each_time() -> None:
    """A table that a refresh swapped in from another schema has no grants, though the future grant exists."""
    repeated = [each.sql for each in FULL.statements() if each.is_repeated]
    assert "grant select on all tables in schema DVD_RENTALS.DVD_RENTAL to role TRANSFORMER" in repeated


def test_sessions_of_service_users_do_not_depend_on_defaults_of_the_account() -> None:
    for user in USERS.values():
        (sql,) = [
            each.sql for each in FULL.statements() if each.sql.startswith(f"alter user {user} set timezone")
        ]
        for name in (
            "week_start = 1",
            "timestamp_type_mapping = 'TIMESTAMP_NTZ'",
            "timestamp_ntz_output_format",
        ):
            assert name in sql


def test_pseudonyms_have_a_salt_that_no_role_can_read() -> None:
    (policy,) = [each.sql for each in FULL.statements() if each.sql.startswith("create masking policy")]
    assert "sha2(concat((select max(salt) from DVD_RENTALS.GOVERNANCE.PSEUDONYM_SALT), value))" in policy
    assert not [grant for each in FULL.statements() for grant in each.grants if "SALT" in grant.name]


def test_no_role_gets_all_privileges_and_public_gets_none() -> None:
    for statement in FULL.statements():
        assert " all privileges" not in statement.sql
        assert not {grant.grantee for grant in statement.grants} & {"PUBLIC", "ACCOUNTADMIN"}
        assert not any(grant.privilege in ("OWNERSHIP", "MANAGE GRANTS") for grant in statement.grants)


def test_the_script_uses_the_role_of_each_statement() -> None:
    lines = full_plan(FULL).script.splitlines()
    assert all(line.endswith(";") for line in lines)
    assert lines[0].startswith("use role ")
    roles = [line for line in lines if line.startswith("use role ")]
    assert all(one != other for one, other in pairwise(roles))


def test_the_policy_masks_with_the_functions_of_snowflake() -> None:
    (body,) = [
        each.sql.partition("-> ")[2] for each in FULL.statements() if each.sql.startswith("create masking")
    ]
    assert not isinstance(sqlglot.parse_one(f"select {body}", dialect="snowflake"), exp.Command)
    assert "'PII_READER'" in body
    assert "'TRANSFORMER'" in body, "dbt itself must not build from masked values"


@pytest.mark.parametrize(
    ("branch", "expected"),
    [("feature/New-Report", "feature_new_report"), ("my_change", "my_change"), ("12-fix", "branch_12_fix")],
)
def test_a_clone_has_the_name_of_the_schema_that_dbt_builds(branch: str, expected: str) -> None:
    clones = FULL.clone_branch(schema_prefix(branch))
    assert len(clones) == len(LAYERS)
    for sql in (*clones, *FULL.drop_branch(schema_prefix(branch))):
        assert not isinstance(sqlglot.parse_one(sql, dialect="snowflake"), exp.Command)
    assert f"create schema if not exists DVD_RENTALS.{expected}_MARTS clone DVD_RENTALS.MARTS" in clones


@pytest.mark.parametrize("option", ["LOADER", "NOBODY=key.pub", "LOADER=/nonexistent.pub"])
def test_a_public_key_that_cannot_be_read_is_named(option: str) -> None:
    with pytest.raises(PipelineError, match=f"--public-key {option}"):
        read_public_keys([option])


def test_a_private_key_is_rejected_without_its_value(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n")
    with pytest.raises(PipelineError, match="is not a public key") as caught:
        read_public_keys([f"LOADER={tmp_path / 'key.pem'}"])
    assert "planted" not in str(caught.value)


def test_a_schema_that_is_loaded_from_files_is_written_by_the_transformer_alone() -> None:
    on_schema = {
        (grant.grantee, grant.privilege)
        for statement in FULL.statements()
        for grant in statement.grants
        if grant.name == "DVD_RENTALS.TOTESYS"
    }

    assert on_schema == {("TRANSFORMER", privilege) for privilege in ("USAGE", "CREATE TABLE", "CREATE STAGE")}


def test_snowflake_reads_the_lake_by_a_role_and_only_below_its_locations() -> None:
    statements = [each.sql for each in FULL.statements()]
    (integration,) = [sql for sql in statements if sql.startswith("create storage integration")]
    assert "storage_aws_role_arn = 'arn:aws:iam::123456789012:role/dvd-rental-snowflake'" in integration
    assert "storage_allowed_locations = ('s3://landing/', 's3://processed/lake/')" in integration
    stages = [sql for sql in statements if sql.startswith("create stage")]
    assert ["storage_integration = DVD_RENTAL_LAKE" in sql for sql in stages] == [True, True]
    assert not [sql for sql in statements if "credentials" in sql.lower() or "aws_key" in sql.lower()]
    granted = {
        (grant.kind, grant.grantee, grant.privilege)
        for each in FULL.statements()
        for grant in each.grants
        if grant.kind in {"STAGE", "INTEGRATION"}
    }
    assert granted == {("STAGE", "TRANSFORMER", "USAGE"), ("INTEGRATION", "SYSADMIN", "USAGE")}


def test_without_a_role_there_is_no_integration_and_no_stage() -> None:
    without = Account([DVD_RENTAL.name], loaded_schemas=["totesys"]).statements()
    assert not [each.sql for each in without if "integration" in each.sql or " stage if " in each.sql]
