"""Queries whose results are equal in every warehouse."""

from collections.abc import Sequence

# Surrogate keys are hashes of texts, which each warehouse formats differently: compare the versions instead.
VERSION_KEYS = {f"{entity}_key": entity for entity in ("customer", "film", "staff", "store")}


def all_rows(model: str, columns: Sequence[str]) -> str:
    """A query for all rows of `model`, with each surrogate key replaced by natural key and `valid_from`."""
    selected = [f"model.{name}" for name in columns if name not in VERSION_KEYS]
    joins = ""
    for key in (name for name in columns if name in VERSION_KEYS):
        entity = VERSION_KEYS[key]
        selected += [f"{entity}_history.{entity}_id", f"{entity}_history.valid_from"]
        joins += (
            f" left join marts.dim_{entity}_history as {entity}_history on model.{key} = {entity}_history.{key}"
        )
    return f"select {', '.join(selected)} from {model} as model{joins}"
