"""The one kind of failure that is shown to a user as a message instead of a traceback."""


class PipelineError(Exception):
    """Something a user can mend: its text says what went wrong, where, and what to do.

    The command line prints the text alone; Dagster shows it as the run's failure.
    """
