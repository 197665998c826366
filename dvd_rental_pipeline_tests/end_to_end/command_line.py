"""Running `dvd-rental` as a user does, in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CommandLine:
    """The command in a home folder of its own; `seconds` is how long it may take."""

    home: Path
    seconds: float = 280

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end, whatever that is."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=self.seconds,
        )

    def ok(self, *arguments: str) -> str:
        """What the command prints to stdout, once it has succeeded."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What the command prints with --json."""
        return json.loads(self.ok(*arguments, "--json"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dvd_rental_pipeline.cli.main", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "DVD_RENTAL_HOME": str(self.home), "NO_COLOR": "1", **more}
