"""The report as JUnit XML, for CI servers: a test suite per layer, a test case per check.

A failed check is a failure, one that could not be evaluated an error, one that was not evaluated is skipped.
JUnit has no warnings: a check that warned is a passed test case with text in `system-out`. A failure would fail
the build, and `skipped` would mean that the check was not evaluated.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC
from xml.etree import ElementTree as ET

from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE
from dvd_rental_pipeline.publishing.check_report.records import CheckRecord, CheckReport, Outcome

ELEMENTS = {
    Outcome.FAILED: "failure",
    Outcome.ERRORED: "error",
    Outcome.SKIPPED: "skipped",
    Outcome.NOT_RUN: "skipped",
    Outcome.IN_PROGRESS: "skipped",
}


def render_junit(report: CheckReport) -> str:
    """An XML document with one `testcase` per check."""
    layers = dict.fromkeys(record.layer for record in report.records)
    root = ET.Element("testsuites", {"name": "asset checks", **_totals(report.records)})
    for layer in layers:
        records = [record for record in report.records if record.layer == layer]
        made = report.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        suite = ET.SubElement(root, "testsuite", {"name": layer, **_totals(records), "timestamp": made})
        for record in records:
            _test_case(suite, record)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _totals(records: Sequence[CheckRecord]) -> Mapping[str, str]:
    kinds = [ELEMENTS.get(record.outcome) for record in records]
    return {
        "tests": str(len(records)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
    }


def _test_case(suite: ET.Element, record: CheckRecord) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": _xml_text(record.asset.replace("/", ".")), "name": _xml_text(record.check)},
    )
    name = ELEMENTS.get(record.outcome)
    if name is not None:
        element = ET.SubElement(case, name, {"message": _xml_text(record.found)})
        if name != "skipped":
            element.set("type", "blocking" if record.blocking else record.severity)
            element.text = _xml_text(_text(record))
    elif record.outcome is Outcome.WARNED or record.stale:
        ET.SubElement(case, "system-out").text = _xml_text(_text(record))


def _text(record: CheckRecord) -> str:
    lines = [f"{record.outcome.value}: {record.found}", record.description]
    if record.stale:
        lines.append("The asset was materialized after this evaluation.")
    lines += [
        ", ".join(f"{name}={'null' if value is None else value}" for name, value in row.items())
        for row in record.sample
    ]
    if record.runbook:
        lines.append(f"What to do: {RUNBOOK_FILE}#{record.runbook}")
    return "\n".join(line for line in lines if line)


def _xml_text(text: str) -> str:
    """`text` without control characters, which XML does not allow."""
    return "".join(
        character if character >= " " or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
