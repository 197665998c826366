"""The error of the source database."""

from dvd_rental_pipeline.core.errors import PipelineError


class SourceError(PipelineError):
    """The source database cannot be started, reached, filled or changed."""
