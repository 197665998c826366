"""The sections of docs/runbook.md as HTML for a page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup


@dataclass(frozen=True)
class RunbookSection:
    """A section: its anchor, its heading, and its text as HTML."""

    anchor: str
    title: str
    html: Markup


def read_runbook(path: Path) -> Mapping[str, RunbookSection]:
    """The sections of the runbook at `path` by their anchors, in their order; none if the file does not exist.

    A section starts at a heading of level 2 or 3; its anchor is the same as on GitHub.
    """
    if not path.is_file():
        return {}
    parts = re.split(r"^#{2,3} +(.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    # Raw HTML is escaped.
    markdown = MarkdownIt("commonmark", {"html": False})
    return {
        section.anchor: section
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
        for section in [
            RunbookSection(heading_anchor(title), title, Markup(markdown.render(text)))  # noqa: S704 - escaped by the renderer
        ]
    }


def heading_anchor(title: str) -> str:
    """The anchor of a heading: lower case, spaces as hyphens, without punctuation."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
