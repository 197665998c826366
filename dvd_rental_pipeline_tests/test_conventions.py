"""Conventions that CONTRIBUTING.md states and no linter checks."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "dvd_rental_pipeline"
TESTS = PROJECT_ROOT / "dvd_rental_pipeline_tests"
MAX_TEST_NAME = 79


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


def test_no_class_name_is_defined_twice_in_the_package() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules(PACKAGE):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(relative(path))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_test_names_are_short() -> None:
    too_long = [
        f"{relative(path)}: {node.name}"
        for path in modules(TESTS)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name) > MAX_TEST_NAME
    ]
    assert too_long == []


def test_every_module_of_the_package_is_in_a_folder() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "definitions.py"}


def test_every_folder_of_the_package_says_what_belongs_there() -> None:
    folders = {path.parent for path in modules(PACKAGE)}
    without = [
        relative(folder)
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists() or not ast.get_docstring(parse(folder / "__init__.py"))
    ]
    assert without == []


def test_nothing_listens_beyond_this_machine_by_default() -> None:
    """Other addresses are what a user asks for, or a container, which is behind Compose or ECS."""
    default = re.compile(r"""["'](0\.0\.0\.0|::)["']""")
    assert [
        relative(path) for path in modules(PACKAGE) if default.search(path.read_text(encoding="utf-8"))
    ] == []


def test_every_module_has_a_docstring() -> None:
    assert [relative(path) for path in modules(PACKAGE) if not ast.get_docstring(parse(path))] == []
