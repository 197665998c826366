"""The manifest is made when it must be, and only then."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
import snowflake.connector
import yaml
from dagster_dbt import DbtCliInvocation, DbtCliResource, DbtProject

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings
from dvd_rental_pipeline.transform import dbt_program, parsing
from dvd_rental_pipeline.transform.dbt_program import SNOWFLAKE_TARGETS
from dvd_rental_pipeline.transform.dbt_resource import InstalledDbt, build_dbt_resource
from dvd_rental_pipeline.transform.parsing import DbtProjectError, update_manifest
from dvd_rental_pipeline_tests.forked_programs import forked_dbt


@pytest.fixture
def project_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The dbt project with one model, which a test may change."""
    copy = tmp_path / "dbt"
    shutil.copytree(DBT_PROJECT_DIR / "macros", copy / "macros")
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(DBT_PROJECT_DIR / name, copy)
    (copy / "models" / "marts").mkdir(parents=True)
    (copy / "models" / "marts" / "dim_film.sql").write_text("select 1 as film_id")
    monkeypatch.setattr(parsing, "DBT_PROJECT_DIR", copy)
    with forked_dbt():
        yield copy


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_the_project_is_parsed_again_only_when_a_file_of_it_has_changed(
    project_dir: Path, settings: Settings
) -> None:
    made = update_manifest(settings).stat().st_mtime_ns
    assert update_manifest(settings).stat().st_mtime_ns == made
    later = made / 1e9 + 10
    os.utime(project_dir / "models" / "marts" / "dim_film.sql", (later, later))
    assert update_manifest(settings).stat().st_mtime_ns > made


def test_a_project_that_dbt_cannot_parse_is_told_in_the_words_of_dbt(
    project_dir: Path, settings: Settings
) -> None:
    (project_dir / "models" / "marts" / "dim_film.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(DbtProjectError, match="no_such_model"):
        update_manifest(settings)
    assert not list(project_dir.glob("target")), "nothing is left in the project's own folder"


def unparsed(tmp_path: Path) -> DbtCliResource:
    """The resource of a project that was not parsed yet."""
    project = DbtProject(
        project_dir=DBT_PROJECT_DIR, target_path=tmp_path, profiles_dir=DBT_PROJECT_DIR, target="local"
    )
    return build_dbt_resource(project)


def test_the_version_is_that_of_the_program(tmp_path: Path) -> None:
    with forked_dbt():
        resource = unparsed(tmp_path)
        assert isinstance(resource, InstalledDbt)
        version_output = subprocess.run(
            [resource.dbt_executable, "--version"], capture_output=True, text=True, check=True
        )
    found = re.search(r"installed: *(\S+)", version_output.stdout)
    assert found
    assert str(resource._cli_version) == found.group(1)


def test_no_dbt_outlives_the_step_that_started_it(tmp_path: Path) -> None:
    started: list[DbtCliInvocation] = []

    @dg.asset
    def ends_early(dbt: DbtCliResource) -> None:
        started.append(dbt.cli(["parse", "--no-partial-parse"]))
        raise dg.Failure("while dbt is still at work")

    dg.materialize([ends_early], resources={"dbt": unparsed(tmp_path)}, raise_on_error=False)
    assert started[0].process.returncode not in {0, None}, "it was ended, and waited for"


def test_sessions_are_limited_for_every_target_in_snowflake() -> None:
    profiles = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    targets = profiles["dvd_rental"]["outputs"]
    in_snowflake = {name for name, target in targets.items() if target["type"] == "snowflake"}
    assert in_snowflake == set(SNOWFLAKE_TARGETS)


@pytest.mark.parametrize(
    ("arguments", "variable", "limited"),
    [
        (["build", "--target", "production"], "", True),
        (["build", "--target=branch"], "", True),
        (["build"], "production", True),
        (["build", "--target", "local"], "", False),
        (["--version"], "", False),
    ],
)
def test_sessions_are_limited_before_dbt_starts(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: str, limited: bool
) -> None:
    monkeypatch.setenv("DBT_TARGET", variable)
    connect = mock.Mock()
    monkeypatch.setattr(snowflake.connector, "connect", connect)
    monkeypatch.setattr(sys, "argv", ["dvd-rental-dbt", *arguments])

    def start() -> None:
        snowflake.connector.connect(account="some")
        sys.exit(3)

    ended: list[object] = []

    def run(program: Callable[[], object]) -> None:
        with pytest.raises(SystemExit) as end:
            program()
        ended.append(end.value.code)

    monkeypatch.setattr("dbt.cli.main.cli", start)
    monkeypatch.setattr(dbt_program, "run_program", run)
    dbt_program.main()
    assert ended == [3]
    settings = Settings()
    expected = {
        "login_timeout": settings.snowflake_login_timeout,
        "network_timeout": settings.snowflake_statement_timeout,
    }
    connect.assert_called_once_with(account="some", **(expected if limited else {}))
