"""What the end-to-end tests share: the command line in a home of its own."""

from collections.abc import Iterator

import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine


@pytest.fixture(scope="module")
def dvd_rental(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line in a home that is empty when the module's tests begin."""
    command_line = CommandLine(tmp_path_factory.mktemp("project") / "home")
    yield command_line
    command_line.ok("source", "stop")
