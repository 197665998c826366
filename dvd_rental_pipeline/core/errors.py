"""The failures that are shown to a user as a message instead of a traceback."""

from pathlib import Path


class PipelineError(Exception):
    """Something a user can mend: its text says what went wrong, where, and what to do.

    The command line prints the text alone; Dagster shows it as the run's failure.
    """


class UnwritableFolderError(PipelineError):
    """A folder of the local state cannot be written."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"Cannot write to {folder}: {error.strerror or error}. Free space there, mend its permissions, or "
            "move the state with DVD_RENTAL_HOME."
        )
