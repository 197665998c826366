"""Errors that are shown to a user as a message instead of a traceback."""

from pathlib import Path


class PipelineError(Exception):
    """An error that a user can fix: its text says what went wrong, where, and what to do.

    The command line prints the text alone; Dagster shows it as the failure of the run.
    """


class UnwritableFolderError(PipelineError):
    """A folder of the local state cannot be written."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"Cannot write to {folder}: {error.strerror or error}. Free some space, fix the permissions of the "
            "folder, or move the local state with DVD_RENTAL_HOME."
        )
