"""Questions whose answers are the same in every warehouse."""

from collections.abc import Sequence

# Keys of versions are hashes of texts, which the two write each in its way: the versions must be equal.
VERSION_KEYS = {f"{thing}_key": thing for thing in ("customer", "film", "staff", "store")}


def all_rows(model: str, columns: Sequence[str]) -> str:
    """All rows of `model`, with the key and the beginning of each version for its hash."""
    shown = [f"model.{name}" for name in columns if name not in VERSION_KEYS]
    joins = ""
    for key in (name for name in columns if name in VERSION_KEYS):
        thing = VERSION_KEYS[key]
        shown += [f"{thing}_history.{thing}_id", f"{thing}_history.valid_from"]
        joins += (
            f" left join marts.dim_{thing}_history as {thing}_history on model.{key} = {thing}_history.{key}"
        )
    return f"select {', '.join(shown)} from {model} as model{joins}"
