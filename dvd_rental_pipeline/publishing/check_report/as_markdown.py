"""The report as Markdown: short for the metadata of an asset, long for the summary of a CI job."""

from collections import Counter
from collections.abc import Iterator

from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE
from dvd_rental_pipeline.publishing.check_report.records import TOLD, CheckRecord, CheckReport, Outcome, Urgency

SHORT_LIMIT = 1000
"""Letters that Dagster's UI shows inline."""
LONG_LIMIT = 100
"""Checks that a long report tells of one by one; a CI summary has an end too."""
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
    """The counts and as many of the worst as fit, in fewer than `SHORT_LIMIT` letters."""
    lines = [f"**{report.verdict}**", "", f"{_counts(report)}. {_as_of(report)}", ""]
    problems = [record for group in TOLD for record in report.groups.get(group, [])]
    for told, record in enumerate(problems):
        name = _cut(f"{record.asset}: {record.check}", 90)
        line = f"- {DOTS[record.outcome]} `{name}`: {_plain(_cut(record.found, 90))}"
        more = f"- and {len(problems) - told} more"
        if len("\n".join([*lines, line, more])) >= SHORT_LIMIT:
            lines.append(more)
            break
        lines.append(line)
    return "\n".join(lines).rstrip()


def render_markdown(report: CheckReport) -> str:
    """Everything that did not pass, worst first, and a table of the layers."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: CheckReport) -> Iterator[str]:
    yield "# Asset checks"
    yield ""
    yield f"**{report.verdict}**"
    yield ""
    yield f"{_counts(report)}. {_as_of(report)} Report of {report.made_at:%Y-%m-%d %H:%M} UTC."
    room = LONG_LIMIT
    for group, records in report.groups.items():
        if group is Urgency.PASSED:
            continue
        yield f"\n## {group.value} ({len(records)})\n"
        if group not in TOLD:
            assets = Counter(record.asset for record in records)
            yield ", ".join(f"`{asset}` {checks}" for asset, checks in assets.items())
            continue
        yield "| asset | check | found | blocks | last ten | what to do |"
        yield "|---|---|---|---|---|---|"
        for record in records[:room]:
            dots = " ".join(DOTS[past.outcome] for past in record.history)
            runbook = f"[runbook]({RUNBOOK_FILE}#{record.runbook})" if record.runbook else ""
            stale = " (out of date)" if record.stale else ""
            yield (
                f"| `{record.asset}` | `{record.check}` | {_plain(record.found)}{stale}{_sample(record)} "
                f"| {'yes' if record.blocking else ''} | {dots} | {runbook} |"
            )
        if len(records) > room:
            yield f"\nand {len(records) - room} more"
        room = max(0, room - len(records))
    yield "\n## Layers\n"
    yield "| layer | checks | " + " | ".join(outcome.value for outcome in Outcome) + " |"
    yield "|---|---:|" + "---:|" * len(Outcome)
    for layer in dict.fromkeys(record.layer for record in report.records):
        outcomes = [record.outcome for record in report.records if record.layer == layer]
        counts = " | ".join(str(outcomes.count(outcome) or "") for outcome in Outcome)
        yield f"| {layer} | {len(outcomes)} | {counts} |"
    yield ""
    legend = ", ".join(f"{dot} {outcome.value}" for outcome, dot in DOTS.items())
    yield f"Dots, of which the latest is on the right: {legend}."


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
        return "The warehouse does not tell as of when its data are."
    return f"Data as of {report.data_as_of:%Y-%m-%d %H:%M}."


def _sample(record: CheckRecord) -> str:
    rows = [
        ", ".join(f"{name} {'null' if value is None else value}" for name, value in row.items())
        for row in record.sample
    ]
    return "".join(f"<br>{_plain(row)}" for row in rows)


def _plain(text: str) -> str:
    """`text` in one cell of a table, with nothing in it taken for Markdown or HTML."""
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for letter in "|`*_[]":
        escaped = escaped.replace(letter, f"\\{letter}")
    return " ".join(escaped.split())


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
