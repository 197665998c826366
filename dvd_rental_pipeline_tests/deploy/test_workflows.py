"""The workflows of GitHub and Dagster+: they parse, pin their actions, and call scripts that exist."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster_cloud_cli.commands.ci import checks

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline_tests.deploy.test_image import BIN

WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_full_version(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [
        action for action in used if not re.fullmatch(r"[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", action)
    ] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_script_and_program_exists(workflow: Path) -> None:
    commands = [
        line.removeprefix("if ")
        for step in steps(workflow)
        for line in map(str.strip, step.get("run", "").splitlines())
        if line and not line.startswith("#")
    ]
    assert commands
    for command in commands:
        program = command.split()[0]
        if program.startswith(".venv/bin/"):
            assert (BIN / Path(program).name).exists(), f"{program} is not installed by the project"
        elif "/" in program:
            assert os.access(PROJECT_ROOT / program, os.X_OK), f"{program} does not exist, or is not executable"
        else:
            assert program in {"docker", "terraform", "make", "echo"}, f"does a runner have {program}?"


def test_a_commit_that_was_pushed_is_not_pushed_again(tmp_path: Path) -> None:
    """The tags of the repository are immutable: a second push of one commit would fail."""
    (script,) = [
        step["run"]
        for step in steps(PROJECT_ROOT / ".github/workflows/deploy.yml")
        if "docker push" in step.get("run", "")
    ]
    for inspected, expected in ((0, ["manifest"]), (1, ["manifest", "build", "push"])):
        calls = tmp_path / f"calls{inspected}"
        docker = tmp_path / "bin" / "docker"
        docker.parent.mkdir(exist_ok=True)
        docker.write_text(f'#!/bin/sh\necho "$1" >> {calls}\n[ "$1" != manifest ] || exit {inspected}\n')
        docker.chmod(0o755)
        checked = script.replace("deploy/image/check_with_docker", "true")
        environment = {"PATH": f"{docker.parent}:{os.environ['PATH']}", "IMAGE": "repository:commit"}
        subprocess.run(["/bin/bash", "-e", "-c", checked], env=environment, check=True)
        assert calls.read_text().split() == expected


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_step_pastes_an_expression_into_a_shell(workflow: Path) -> None:
    """GitHub pastes an expression inside `run` into the script, where a branch name could be a command."""
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_limits_its_rights_and_its_time(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"]["contents"] == "read"
    assert [name for name, job in content["jobs"].items() if "timeout-minutes" not in job] == []


def test_dagster_plus_accepts_dagster_cloud_yaml() -> None:
    result = checks.check_dagster_cloud_yaml(PROJECT_ROOT / "dagster_cloud.yaml")
    assert not result.errors, result.errors
    (location,) = yaml.safe_load((PROJECT_ROOT / "dagster_cloud.yaml").read_text())["locations"]
    local = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert location["location_name"] == local["location_name"]
    assert location["code_source"]["module_name"] == local["module_name"]
