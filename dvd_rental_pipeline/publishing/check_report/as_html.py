"""The report as one HTML file that loads nothing, runs no script, and that no engineer is needed to read."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dvd_rental_pipeline.publishing.check_report.records import (
    TOLD,
    CheckRecord,
    CheckReport,
    Outcome,
    PastOutcome,
    Urgency,
)
from dvd_rental_pipeline.publishing.runbook_text import RunbookSection

PAGES = Path(__file__).parents[1] / "pages"
EXPLANATIONS = {
    Urgency.STOPPED: "What is built on these tables is not brought up to date until they are right.",
    Urgency.FAILED: "Something is wrong, but nothing waits for it.",
    Urgency.UNKNOWN: "Nobody knows: these checks did not get their turn.",
    Urgency.STALE: "The last look was fine, but the table has been built anew since.",
    Urgency.WARNED: "Worth a look; the data can be used.",
    Urgency.PASSED: "",
}


def render_html(report: CheckReport, runbook: Mapping[str, RunbookSection]) -> str:
    """The page, with the whole `runbook` at its end so that each check can link to its section."""
    environment = Environment(
        loader=PackageLoader("dvd_rental_pipeline.publishing", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"time": _time, "slug": _slug, "told": told_history, "code": _with_code}
    style = (PAGES / "checks.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    groups = {group: _by_layer(records) for group, records in report.groups.items()}
    return environment.get_template("checks.html").render(
        report=report,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=f"sha256-{digest}",
        outcomes=list(Outcome),
        worst=next(iter(report.groups), Urgency.PASSED),
        told={group: layers for group, layers in groups.items() if group in TOLD},
        listed={group: layers for group, layers in groups.items() if group not in TOLD},
        explanations=EXPLANATIONS,
        runbook=runbook,
    )


def told_history(history: Sequence[PastOutcome]) -> str:
    """The dots in words, oldest first: "3 times passed, then failed"."""
    runs: list[tuple[Outcome, int]] = []
    for past in history:
        if runs and runs[-1][0] is past.outcome:
            runs[-1] = (past.outcome, runs[-1][1] + 1)
        else:
            runs.append((past.outcome, 1))
    told = [outcome.value if times == 1 else f"{times} times {outcome.value}" for outcome, times in runs]
    return ", then ".join(told) or "never evaluated"


def _by_layer(records: Sequence[CheckRecord]) -> Mapping[str, Sequence[CheckRecord]]:
    layers = dict.fromkeys(record.layer for record in records)
    return {layer: [record for record in records if record.layer == layer] for layer in layers}


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%d %b %Y, %H:%M}"


def _with_code(text: str) -> Markup:
    """`text`, of which what stands in backticks is code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part for position, part in enumerate(parts)
    )


def _slug(text: str) -> str:
    return text.replace(" ", "-").lower()
