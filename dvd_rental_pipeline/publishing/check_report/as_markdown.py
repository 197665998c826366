"""The report as Markdown: short for the metadata of an asset, long for a CI job summary."""

from collections import Counter
from collections.abc import Iterator

from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE
from dvd_rental_pipeline.publishing.check_report.records import (
    DETAILED_GROUPS,
    CheckRecord,
    CheckReport,
    Outcome,
    Urgency,
)

SHORT_LIMIT = 1000
"""Characters that Dagster's UI shows inline."""
LONG_LIMIT = 100
"""Checks that the long report shows in detail; CI summaries are limited in size."""
DOTS = {
    Outcome.FAILED: "✖",
    Outcome.ERRORED: "!",
    Outcome.WARNED: "▲",
    Outcome.SKIPPED: "○",
    Outcome.NOT_RUN: "○",
    Outcome.IN_PROGRESS: "…",
    Outcome.PASSED: "●",
}


def render_short_markdown(report: CheckReport) -> str:
    """The counts and as many of the worst checks as fit into `SHORT_LIMIT` characters."""
    lines = [f"**{report.verdict}**", "", f"{_counts(report)}. {_as_of(report)}", ""]
    problems = [record for group in DETAILED_GROUPS for record in report.groups.get(group, [])]
    for position, record in enumerate(problems):
        name = _truncate(f"{record.asset}: {record.check}", 90)
        line = f"- {DOTS[record.outcome]} `{name}`: {_escape(_truncate(record.found, 90))}"
        more = f"- and {len(problems) - position} more"
        if len("\n".join([*lines, line, more])) >= SHORT_LIMIT:
            lines.append(more)
            break
        lines.append(line)
    return "\n".join(lines).rstrip()


def render_markdown(report: CheckReport, runbook_url: str | None = None) -> str:
    """All checks that did not pass, worst first, and a table of the layers.

    The sections of the runbook are links if it has a URL; a relative link would lead nowhere from a CI job's
    summary.
    """
    return "\n".join(_lines(report, runbook_url)) + "\n"


def _lines(report: CheckReport, runbook_url: str | None) -> Iterator[str]:
    yield "# Asset checks"
    yield ""
    yield f"**{report.verdict}**"
    yield ""
    yield f"{_counts(report)}. {_as_of(report)} Report of {report.made_at:%Y-%m-%d %H:%M} UTC."
    remaining = LONG_LIMIT
    for group, records in report.groups.items():
        if group is Urgency.PASSED:
            continue
        yield f"\n## {group.value} ({len(records)})\n"
        if group not in DETAILED_GROUPS:
            assets = Counter(record.asset for record in records)
            yield ", ".join(f"`{asset}` {checks}" for asset, checks in assets.items())
            continue
        yield "| asset | check | found | blocking | last ten | what to do |"
        yield "|---|---|---|---|---|---|"
        for record in records[:remaining]:
            dots = " ".join(DOTS[past.outcome] for past in record.history)
            runbook = _runbook(record, runbook_url)
            stale = " (out of date)" if record.stale else ""
            yield (
                f"| `{record.asset}` | `{record.check}` | {_escape(record.found)}{stale}{_sample(record)} "
                f"| {'yes' if record.blocking else ''} | {dots} | {runbook} |"
            )
        if len(records) > remaining:
            yield f"\nand {len(records) - remaining} more"
        remaining = max(0, remaining - len(records))
    yield "\n## Layers\n"
    yield "| layer | checks | " + " | ".join(outcome.value for outcome in Outcome) + " |"
    yield "|---|---:|" + "---:|" * len(Outcome)
    for layer in dict.fromkeys(record.layer for record in report.records):
        outcomes = [record.outcome for record in report.records if record.layer == layer]
        counts = " | ".join(str(outcomes.count(outcome) or "") for outcome in Outcome)
        yield f"| {layer} | {len(outcomes)} | {counts} |"
    yield ""
    legend = ", ".join(f"{dot} {outcome.value}" for outcome, dot in DOTS.items())
    yield f"Dots, latest on the right: {legend}."


def _runbook(record: CheckRecord, url: str | None) -> str:
    if not record.runbook:
        return ""
    return f"[runbook]({url}#{record.runbook})" if url else f"`{RUNBOOK_FILE}#{record.runbook}`"


def _counts(report: CheckReport) -> str:
    counted = [f"{count} {outcome.value}" for outcome, count in report.counts.items() if count]
    stale = [f"{report.stale} out of date"] if report.stale else []
    return (
        ", ".join([f"{len(report.records)} checks: {counted[0]}", *counted[1:], *stale])
        if counted
        else "0 checks"
    )


def _as_of(report: CheckReport) -> str:
    if report.data_as_of is None:
        return "The data timestamp is unknown."
    return f"Data as of {report.data_as_of:%Y-%m-%d %H:%M}."


def _sample(record: CheckRecord) -> str:
    rows = [
        ", ".join(f"{name} {'null' if value is None else value}" for name, value in row.items())
        for row in record.sample
    ]
    return "".join(f"<br>{_escape(row)}" for row in rows)


def _escape(text: str) -> str:
    """`text` for one table cell, with Markdown and HTML escaped."""
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for character in "|`*_[]":
        escaped = escaped.replace(character, f"\\{character}")
    return " ".join(escaped.split())


def _truncate(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
