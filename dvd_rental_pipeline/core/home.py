"""Check that the folder of all local state can be written and has the free space that a run needs."""

import shutil
from pathlib import Path

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError

# A run on sample data of scale 1 leaves about 130 MB: the server's files, the warehouse, the history.
MIN_FREE_BYTES = 300_000_000


def require_free_space(home: Path) -> None:
    """Create the folder if it does not exist, and require `MIN_FREE_BYTES` on its disk.

    Raises:
        UnwritableFolderError: the folder cannot be created.
        PipelineError: its disk has too little free space.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise UnwritableFolderError(home, error) from error
    if free < MIN_FREE_BYTES:
        raise PipelineError(
            f"{home} has {free / 1e6:.0f} MB of free space; a run needs {MIN_FREE_BYTES / 1e6:.0f} MB. Free "
            "some space, or move the local state to a larger disk with DVD_RENTAL_HOME."
        )
