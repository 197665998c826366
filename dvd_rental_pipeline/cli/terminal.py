"""What every command uses: messages, progress, exit codes."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from dvd_rental_pipeline.core.errors import PipelineError

# Like `terraform plan -detailed-exitcode`: 0 nothing to do, 1 an error, 2 something to do.
SOMETHING_TO_DO = 2

messages = Console(stderr=True, highlight=False)


class CommandGroup(TyperGroup):
    """Ends every command alike: a `PipelineError` as one message and exit code 1, Ctrl-C as exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            messages.print("Interrupted. Nothing is half applied; run the same command again.")
            raise typer.Exit(130) from None


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current activity next to a spinner; without a terminal, nothing."""
    if not messages.is_terminal:
        yield lambda _: None
        return
    # A separate stream: while the graph runs, stderr is redirected to a file.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal:
        console = Console(file=terminal, force_terminal=True, highlight=False)
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # It would send to the terminal what the steps log, although stderr is redirected to a file.
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress:
            task = progress.add_task("starting")
            yield lambda text: progress.update(task, description=escape(text))


def show_counts(counts: Mapping[str, int], unit: str) -> None:
    """Print counts by name, and their total."""
    table = Table(show_header=False, box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    messages.print(table)
    messages.print(f"{sum(counts.values()):,} {unit}")
