"""How a program of this project runs: it seldom looks for garbage, and ends without freeing its memory."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

# Python's own are 700, 10 and 10. What a program imports and loads stays until its end: to look for garbage as
# often takes an eighth of a run without changes, and a sixth of dbt's parse.
_GARBAGE_THRESHOLDS = (50_000, 100, 100)


def run_program(program: Callable[[], object]) -> NoReturn:
    """Run `program`, and end the process with the exit code of the `SystemExit` that it raises, or else with 0.

    The end waits for threads, runs exit handlers and writes what is buffered, as that of Python does. But to
    free a loaded graph object by object takes Python more than a second, and dbt's objects two thirds of one.
    """
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        program()
        code: str | int | None = None
    except SystemExit as end:
        code = end.code
    if isinstance(code, str) or any(not thread.daemon for thread in _other_threads()):
        # Python shows the message, and waits for the threads.
        sys.exit(code)
    # No public alternative: `os._exit()` runs no exit handlers.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _other_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
