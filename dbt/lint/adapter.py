"""Stands in for dbt's adapter: a macro that a warehouse may have otherwise gives nothing here."""

from collections.abc import Callable


def dispatch(macro: str, package: str) -> Callable[..., None]:
    return lambda *arguments: None
