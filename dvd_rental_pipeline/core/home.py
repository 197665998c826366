"""The folder of all local state: can it be written, and is there room for a run?"""

import shutil
from pathlib import Path

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError

# A run on sample data of scale 1 leaves about 130 MB: the server's files, the warehouse, the history.
ROOM_FOR_A_RUN = 300_000_000


def require_room(home: Path) -> None:
    """Make the folder if need be, and refuse to begin what the disk cannot hold.

    Raises:
        PipelineError: the folder cannot be made, or its disk is almost full.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise UnwritableFolderError(home, error) from error
    if free < ROOM_FOR_A_RUN:
        raise PipelineError(
            f"There are {free / 1e6:.0f} MB free for {home}, and a run needs {ROOM_FOR_A_RUN / 1e6:.0f} MB. "
            "Free some space, or move the state to a larger disk with DVD_RENTAL_HOME."
        )
