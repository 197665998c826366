"""The recipe "Add a pipeline" of CONTRIBUTING.md, followed step by step in a copy of the project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".dvd_rental", "*cache*", "target", "logs", "*.egg-info", "*.png", "results"
)
JOBS = """
import json
from dvd_rental_pipeline.definitions import defs
repository = defs().get_repository_def()
print(json.dumps([*repository.job_names, *(each.name for each in repository.schedule_defs)]))
"""


@dataclass(frozen=True)
class Step:
    """A numbered step: its text, and its code blocks without indentation."""

    text: str
    blocks: list[str]


def recipe() -> dict[int, Step]:
    """The steps by number."""
    guide = (PROJECT_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.partition("\n## Add a pipeline\n")[2].partition("\n## ")[0]
    parts = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)[1:]
    steps = {}
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        blocks = re.findall(r"^   ```\w*\n(.*?)^   ```$", text, flags=re.MULTILINE | re.DOTALL)
        steps[int(number)] = Step(text, [textwrap.dedent(block) for block in blocks])
    return steps


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, whose package is imported instead of the installed one."""

    folder: Path
    source_url: str

    def run(self, command: str) -> str:
        """Run a command line, which must succeed; returns what it printed to stdout."""
        done = subprocess.run(
            shlex.split(command),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": os.pathsep.join((programs, os.environ["PATH"])),
            "PYTHONPATH": str(self.folder),
            "DVD_RENTAL_HOME": str(self.folder / ".dvd_rental"),
            "DVD_RENTAL_SOURCE_URL": self.source_url,
            "NO_COLOR": "1",
        }


@pytest.fixture
def checkout(database_url: str, tmp_path: Path) -> Checkout:
    """A copy of the project, with a source that has the schema of the new pipeline."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "create schema club;"
            " create table club.member (member_id integer primary key, name text not null);"
            " insert into club.member values (1, 'Uma'), (2, 'Ada')"
        )
    folder = tmp_path / "project"
    shutil.copytree(PROJECT_ROOT, folder, ignore=NOT_COPIED)
    return Checkout(folder, database_url)


def test_the_recipe_gives_a_pipeline_that_loads_runs_and_is_checked(checkout: Checkout) -> None:
    steps = recipe()
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    name, parent = re.findall(r"`([\w/]+)`", steps[1].text)[:2]
    package = checkout.folder / parent / name
    package.mkdir()
    (package / "__init__.py").write_text('"""The pipeline of a video club."""\n')
    for number, file in ((2, "catalog.py"), (3, "pipeline.py")):
        assert f"its `{file}`" in steps[number].text
        (package / file).write_text(f'"""Written by the recipe."""\n\n{steps[number].blocks[0]}')
    _register(checkout.folder / re.findall(r"`([\w/]+\.py)`", steps[4].text)[0], steps[4].blocks[0])
    assert "`make render`" in steps[5].text
    checkout.run("python -m dvd_rental_pipeline.pipelines.render")

    check, assets, run = steps[6].blocks[0].strip().splitlines()
    checkout.run(check)
    assert checkout.run(assets).split() == ["club/member"]
    checkout.run(run)

    rows = json.loads(checkout.run("dvd-rental query --json 'select name from club.member order by 1'"))
    assert rows == [{"name": "Ada"}, {"name": "Uma"}]
    made = json.loads(checkout.run(f"python -c {shlex.quote(JOBS)}").splitlines()[-1])
    jobs = re.findall(r"jobs\s+\(`(\w+)`, `(\w+)`\)", steps[4].text)
    assert jobs
    assert set(jobs[0]) <= set(made)
    report = json.loads(checkout.run("dvd-rental checks report --format json --output -"))
    assert "club/member" in json.dumps(report)
    with psycopg.connect(checkout.source_url) as connection:
        slots = connection.execute(
            "select slot_name from pg_replication_slots where database = current_database()"
        ).fetchall()
    assert [slot.endswith("_club") for (slot,) in slots] == [True]
    # What holds for every pipeline, as the gate checks it.
    checkout.run("lint-imports --no-logo --no-cache")
    checkout.run("ruff check --no-cache dvd_rental_pipeline")
    tests = "dvd_rental_pipeline_tests"
    checkout.run(
        f"python -m pytest -q -p no:cacheprovider -o addopts= {tests}/test_conventions.py"
        f" {tests}/docs/test_runbook.py"
    )


def _register(registry: Path, block: str) -> None:
    """Add the import of `block` to the others, and replace the statement that it shows changed."""
    imported, statement = (line for line in block.splitlines() if line)
    target = statement.partition("=")[0]
    text = registry.read_text()
    former = next(line for line in text.splitlines() if line.startswith(target))
    assert statement.startswith(former.rstrip(")")), f"the recipe does not show {former}"
    lines = [statement if line.startswith(target) else line for line in text.splitlines()]
    first = next(number for number, line in enumerate(lines) if ".pipelines." in line)
    registry.write_text("\n".join([*lines[:first], imported, *lines[first:], ""]))
