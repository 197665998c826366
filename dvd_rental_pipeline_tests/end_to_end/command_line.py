"""Run `dvd-rental` as a user does, in its own process."""

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvd_rental_pipeline_tests.forked_programs import fork_server


@dataclass(frozen=True)
class CommandLine:
    """The command with its own home folder; `seconds` is the time limit of a command."""

    home: Path
    seconds: float = 560

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command, whatever its exit code."""
        return fork_server().run("dvd-rental", arguments, self.environment(**environment), self.seconds)

    def ok(self, *arguments: str) -> str:
        """Run the command, which must succeed; returns what it printed to stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def on_terminal(self, *arguments: str, columns: int = 80) -> tuple[int, str]:
        """Run the command on a pseudo-terminal; its exit code and everything that it showed."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {**self.environment(), "TERM": "xterm-256color"}
        with os.fdopen(follower, "r+b", buffering=0) as terminal:
            program = fork_server().start(
                "dvd-rental", arguments, environment, terminal, terminal, keyboard=terminal
            )
        shown = bytearray()
        # Linux reports the end of a terminal as an error.
        with contextlib.suppress(OSError):
            while chunk := os.read(leader, 65536):
                shown += chunk
        code = program.wait(self.seconds)
        os.close(leader)
        return code, shown.decode()

    def json(self, *arguments: str) -> Any:
        """Run the command with --json; returns the parsed output."""
        return json.loads(self.ok(*arguments, "--json"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dvd_rental_pipeline.cli.main", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "DVD_RENTAL_HOME": str(self.home), "NO_COLOR": "1", **more}
