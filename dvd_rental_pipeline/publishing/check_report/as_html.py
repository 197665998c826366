"""The report as HTML, for readers who are not engineers: one file that loads nothing, or a page of the site."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from dvd_rental_pipeline.publishing.check_report.records import (
    DETAILED_GROUPS,
    CheckRecord,
    CheckReport,
    Outcome,
    PastOutcome,
    Urgency,
)
from dvd_rental_pipeline.publishing.runbook_text import RunbookSection
from dvd_rental_pipeline.publishing.templates import PAGES, THEME_FILES, site_values, template_environment

CHECKS_FILES = (*THEME_FILES, "checks.css")
EXPLANATIONS = {
    Urgency.BLOCKING: "Tables downstream of these are not built until the checks pass.",
    Urgency.FAILED: "These checks failed, but block nothing.",
    Urgency.UNKNOWN: "These checks have not been evaluated.",
    Urgency.STALE: "The last evaluation passed, but the table was built again since.",
    Urgency.WARNED: "The data can be used; these checks block nothing.",
    Urgency.PASSED: "",
}


def render_html(report: CheckReport, runbook: Mapping[str, RunbookSection], *, is_in_site: bool = False) -> str:
    """The page, with the `runbook` at its end, to whose sections the checks link.

    A page of the site has its navigation, and needs the files of `CHECKS_FILES` beside it; else the page is a
    single file without any script.
    """
    environment = template_environment()
    environment.filters |= {"time": _time, "slug": _slug, "history": format_history, "code": _with_code}
    style = "".join((PAGES / name).read_text(encoding="utf-8") for name in ("theme.css", "checks.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    groups = {group: _by_layer(records) for group, records in report.groups.items()}
    return environment.get_template("checks.html").render(
        **(site_values("checks") if is_in_site else {"root": None, "wide": False}),
        title="Data quality",
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        style_hash=f"sha256-{digest}",
        outcomes=list(Outcome),
        worst=next(iter(report.groups), Urgency.PASSED),
        detailed={group: layers for group, layers in groups.items() if group in DETAILED_GROUPS},
        listed={group: layers for group, layers in groups.items() if group not in DETAILED_GROUPS},
        explanations=EXPLANATIONS,
        runbook=runbook,
    )


def format_history(history: Sequence[PastOutcome]) -> str:
    """The dots as text, oldest first: "3 times passed, then failed"."""
    runs: list[tuple[Outcome, int]] = []
    for past in history:
        if runs and runs[-1][0] is past.outcome:
            runs[-1] = (past.outcome, runs[-1][1] + 1)
        else:
            runs.append((past.outcome, 1))
    phrases = [outcome.value if times == 1 else f"{times} times {outcome.value}" for outcome, times in runs]
    return ", then ".join(phrases) or "never evaluated"


def _by_layer(records: Sequence[CheckRecord]) -> Mapping[str, Sequence[CheckRecord]]:
    layers = dict.fromkeys(record.layer for record in records)
    return {layer: [record for record in records if record.layer == layer] for layer in layers}


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%d %b %Y, %H:%M}"


def _with_code(text: str) -> Markup:
    """`text` with the parts in backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part for position, part in enumerate(parts)
    )


def _slug(text: str) -> str:
    return text.replace(" ", "-").lower()
