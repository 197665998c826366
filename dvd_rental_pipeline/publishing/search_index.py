"""What the search of the site finds: each part publishes `search.js`, which adds its entries.

A script and not a JSON file: a page that is opened from a file cannot fetch one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SEARCH_FILE = "search.js"


@dataclass(frozen=True)
class SearchEntry:
    """Something to find. `url` is relative to the top of the site; `text` is searched but not shown."""

    title: str
    kind: str
    place: str
    url: str
    text: str = ""


def write_search_index(entries: Sequence[SearchEntry], folder: Path) -> None:
    """Write the entries of a part into its `folder`."""
    listed = json.dumps([asdict(entry) for entry in entries], ensure_ascii=True, separators=(",", ":"))
    (folder / SEARCH_FILE).write_text(f"window.siteSearch.push(...{listed});\n", encoding="utf-8")
