"""`dvd-rental run --watch` in a copy of the tree, in which files are saved as an editor does."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT


class Watch:
    """A running `dvd-rental run --watch --select top_films`."""

    def __init__(self, tree: Path, home: Path) -> None:
        self.model = tree / "dbt" / "models" / "reports" / "inventory" / "top_films.sql"
        self.warehouse = home / "warehouse.duckdb"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dvd_rental_pipeline.cli.main", "run", "--watch", "--select", "+top_films"],
            cwd=tree,
            env={**os.environ, "DVD_RENTAL_HOME": str(home), "PYTHONPATH": str(tree), "NO_COLOR": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, *words: str) -> str:
        """What is printed until a line that contains one of `words`."""
        assert self.process.stderr
        printed = ""
        for line in self.process.stderr:
            printed += line
            if any(word in line for word in words):
                return printed
        raise AssertionError(printed)

    def save(self, text: str) -> str:
        """Save the model; returns what is printed until it was built."""
        edited = self.model.with_suffix(".tmp")
        edited.write_text(text)
        edited.rename(self.model)
        return self.read_until("checks passed", "Error:")

    def rows(self) -> int:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            (row,) = connection.execute("select count(*) from reports.top_films").fetchall()
        return int(row[0])


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    tree, home = tmp_path / "tree", tmp_path / "home"
    for folder in ("dvd_rental_pipeline", "dbt", "docs"):
        shutil.copytree(
            PROJECT_ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("target", "__pycache__")
        )
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tree)
    watch = Watch(tree, home)
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.wait()
        stop = [sys.executable, "-m", "dvd_rental_pipeline.cli.main", "source", "stop"]
        subprocess.run(stop, env={**os.environ, "DVD_RENTAL_HOME": str(home)}, check=True)


@pytest.mark.slow
def test_a_saved_model_is_built_and_tested_and_an_error_is_shown_once(watch: Watch) -> None:
    watch.read_until("Watching")
    original = watch.model.read_text()
    assert watch.rows() > 1
    assert "Failed top_films: " in watch.save(f"{original.rstrip()}\nlimit 1\n")
    assert "top_films_conserves_totals" in watch.read_until("conserves_totals")
    assert watch.rows() == 1
    assert "Failed top_films: 0 checks passed" in watch.save(f"{original.rstrip()}\nlimit nothing\n")
    assert "\x1b" not in watch.read_until("Binder Error", "Parser Error")
    assert "Error: dbt cannot parse the project" in watch.save("select {{ nothing(")
    assert watch.rows() == 1, "what could not be built leaves the table as it was"
    assert "Built top_films: " in watch.save(original)
    assert watch.rows() > 1
    watch.process.send_signal(signal.SIGINT)
    assert "Watching has ended." in watch.read_until("Watching has ended.")
    assert watch.process.wait(timeout=60) == 0
