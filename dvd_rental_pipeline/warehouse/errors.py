"""Errors of every warehouse."""

from dvd_rental_pipeline.core.errors import PipelineError


class WarehouseError(PipelineError):
    """The warehouse cannot be opened or read, or rejects a statement."""


class WarehouseUnavailableError(WarehouseError):
    """The warehouse cannot be reached or denies access: every other statement would fail as well."""
