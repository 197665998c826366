"""The names of the assets, known without loading the graph, so that a wrong selection is refused at once.

Loading the graph takes seconds, for Dagster's imports alone. Reads no Dagster.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings

_MAX_QUOTE = 300
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/]*")
# The tokens of a selection: a quoted text, an attribute with its value, a function, or a name.
_TOKEN = re.compile(
    r"\"[^\"]*\"|\w+:\s*(?:\"[^\"]*\"|[^\s()+]+)|[A-Za-z_]\w*\(|(?<![\w/*])[A-Za-z_][\w/]*(?![\w/*])"
)
_KEYWORDS = frozenset({"and", "or", "not"})
# `key:"marts/dim_film"`, `key:dim_film`, `group:marts`: values with a wildcard are left to Dagster.
_ATTRIBUTE = re.compile(r"\b(key|group):\s*(?:\"([^\"*]+)\"|([A-Za-z0-9_/]+)(?![A-Za-z0-9_/*]))")


@dataclass(frozen=True)
class AssetNames:
    """Keys, such as `marts/dim_film`, and groups of all assets."""

    keys: Sequence[str]
    groups: Sequence[str]

    def expand(self, selection: str) -> str:
        """`selection` in Dagster's syntax; bare names of assets, with or without their schema, are expanded.

        Raises:
            PipelineError: it names an asset or a group that does not exist, or a name that several assets have.
        """
        if _NAME.fullmatch(selection):
            return f'key:"{self._key(selection)}"'
        for attribute, quoted, bare in _ATTRIBUTE.findall(selection):
            known, name = (self.keys if attribute == "key" else self.groups), quoted or bare
            if name not in known:
                raise PipelineError(f"No asset has the {attribute} {in_quotes(name)}. {_nearest(name, known)}")
        return _TOKEN.sub(self._expand_token, selection)

    def _expand_token(self, token: re.Match[str]) -> str:
        text = token[0]
        is_name = _NAME.fullmatch(text) and text.lower() not in _KEYWORDS
        return f'key:"{self._key(text)}"' if is_name else text

    def _key(self, name: str) -> str:
        found = [key for key in self.keys if key == name or key.rpartition("/")[2] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise PipelineError(
                f"{name!r} is the name of {len(found)} assets: {', '.join(found)}. Name one of them."
            )
        raise PipelineError(f"There is no asset {in_quotes(name)}. {_nearest(name, self.keys)}")


def in_quotes(text: str) -> str:
    """`text` in quotes, for a message; a long one in part."""
    return shortened(repr(text))


def shortened(text: str) -> str:
    """`text`, or its beginning if it is long."""
    return text if len(text) <= _MAX_QUOTE else f"{text[:_MAX_QUOTE]}…"


def _nearest(name: str, known: Collection[str]) -> str:
    by_last_part = {key.rpartition("/")[2]: key for key in known}
    matches = [
        *get_close_matches(name, known, n=3, cutoff=0.5),
        *(by_last_part[match] for match in get_close_matches(name.rpartition("/")[2], by_last_part, n=3)),
    ]
    if not matches:
        return '`group:marts` and `+key:"reports/top_films"` are examples of a selection.'
    return f"Similar: {', '.join(dict.fromkeys(matches))}."


def write_asset_names(settings: Settings, names: AssetNames) -> None:
    """Keep `names`, those of the graph that was just loaded."""
    content = {
        "keys": names.keys,
        "groups": names.groups,
        "deployment": settings.deployment.value,
        "sources": _fingerprint(_sources()),
    }
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def read_asset_names(settings: Settings) -> AssetNames | None:
    """The names that were last kept; None if the code has changed since, or there are none."""
    try:
        content = json.loads(_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if content.get("deployment") != settings.deployment.value or content.get("sources") != _fingerprint(
        _sources()
    ):
        return None
    return AssetNames(content["keys"], content["groups"])


def _file(settings: Settings) -> Path:
    return settings.dagster_dir / "asset_names.json"


def _sources() -> Iterator[Path]:
    """The files from which the graph is made."""
    for top, suffixes in (
        (Path(__file__).parent.parent, (".py",)),
        (DBT_PROJECT_DIR / "models", (".sql", ".yml")),
    ):
        yield from (path for path in top.rglob("*") if path.suffix in suffixes)


def _fingerprint(files: Iterable[Path]) -> str:
    """Changes when a file is added, deleted or saved."""
    states = sorted((str(file), file.stat().st_mtime_ns) for file in files if file.is_file())
    return hashlib.sha256(repr(states).encode()).hexdigest()
