"""Run `dvd-rental` as a user does, in its own process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CommandLine:
    """The command with its own home folder; `seconds` is the time limit of a command."""

    home: Path
    seconds: float = 280

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command, whatever its exit code."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=self.seconds,
        )

    def ok(self, *arguments: str) -> str:
        """Run the command, which must succeed; returns what it printed to stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run the command with --json; returns the parsed output."""
        return json.loads(self.ok(*arguments, "--json"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dvd_rental_pipeline.cli.main", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "DVD_RENTAL_HOME": str(self.home), "NO_COLOR": "1", **more}
