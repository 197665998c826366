"""A fixture of the end-to-end tests: the command line with an empty home folder."""

from collections.abc import Iterator

import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine


@pytest.fixture(scope="module")
def dvd_rental(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line with a home that is empty before the first test of the module."""
    command_line = CommandLine(tmp_path_factory.mktemp("project") / "home")
    yield command_line
    command_line.ok("source", "stop")
