"""What can go wrong with the source database and is the user's to mend."""

from dvd_rental_pipeline.core.errors import PipelineError


class SourceError(PipelineError):
    """The source database cannot be started, reached, filled or changed."""
