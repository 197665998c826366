"""What we rely on in dagster-dbt's private members: an upgrade that changes any of it fails here, by name."""

import inspect

from dagster_dbt import DbtCliInvocation, DbtCliResource

from dvd_rental_pipeline.core.private_api.dbt import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY
from dvd_rental_pipeline.publishing.check_report.declared_checks import DBT_TEST


def test_the_metadata_key_of_the_dbt_id_is_the_one_that_the_report_reads() -> None:
    assert DAGSTER_DBT_UNIQUE_ID_METADATA_KEY == DBT_TEST


def test_the_overridden_members_of_the_resource_exist() -> None:
    assert list(inspect.signature(DbtCliResource._initialize_dbt_core_adapter).parameters) == ["self", "args"]
    assert "_cli_version" in vars(DbtCliResource)


def test_starting_dbt_uses_the_overridden_members() -> None:
    source = inspect.getsource(DbtCliResource.cli)
    assert "self._cli_version" in source
    assert "self._initialize_dbt_core_adapter(" in source


def test_an_invocation_has_its_process_and_its_time_to_terminate() -> None:
    fields = DbtCliInvocation.__dataclass_fields__
    assert {"process", "termination_timeout_seconds"} <= set(fields)
    assert list(inspect.signature(DbtCliInvocation.stream_raw_events).parameters) == ["self"]
