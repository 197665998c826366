"""The present verdict of the checks on each part of the site, as a script that every page loads.

Checks are evaluated more often than pages are built, and a failed check holds the pages that it concerns: the
verdict cannot be part of the page.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from dvd_rental_pipeline.publishing.check_report.records import CheckReport, Urgency
from dvd_rental_pipeline.publishing.report_pages.content import PageDeclaration
from dvd_rental_pipeline.publishing.report_pages.reports import REPORTS_SCHEMA

STATUS_FILE = "status.js"

Lineage = Mapping[str, frozenset[str]]
"""The keys of the assets that each asset is built from, as text: schema/table."""


def write_status(
    report: CheckReport,
    pages: Sequence[PageDeclaration],
    lineage: Lineage,
    published: Mapping[str, float],
    folder: Path,
    *,
    pdf_of: str | None = None,
) -> None:
    """Write the verdicts into `folder`.

    Args:
        lineage: what `read_lineage` returned of all assets.
        published: when each page was last published, and each report last built, in seconds since the epoch, by
            the text of their keys; those that never were are missing.
        pdf_of: the page that is also printed as PAGE.pdf.
    """
    statuses = {
        page.name: _page_status(report, page, upstream_tables(page, lineage), published) for page in pages
    }
    statuses["checks"] = _status(report)
    if pdf_of is not None:
        statuses[pdf_of] = {**statuses[pdf_of], "pdf": f"{pdf_of}.pdf"}
    text = json.dumps({"pages": statuses}, separators=(",", ":"))
    (folder / STATUS_FILE).write_text(f"window.siteStatus={text};\n", encoding="utf-8")


def read_lineage(assets: Iterable[dg.AssetsDefinition | dg.AssetSpec]) -> Lineage:
    """What each of `assets` is built from, whether or not it is a dbt model."""
    lineage: dict[str, frozenset[str]] = {}
    for definition in assets:
        if isinstance(definition, dg.AssetSpec):
            parents = {definition.key: {dep.asset_key for dep in definition.deps}}
        else:
            parents = {key: set(keys) for key, keys in definition.asset_deps.items()}
        for key, keys in parents.items():
            lineage[key.to_user_string()] = frozenset(parent.to_user_string() for parent in keys)
    return lineage


def upstream_tables(page: PageDeclaration, lineage: Lineage) -> frozenset[str]:
    """Everything that the reports of `page` are built from, and the reports: schema/table."""
    pending = [f"{REPORTS_SCHEMA}/{report}" for report in page.reports]
    seen: set[str] = set()
    while pending:
        table = pending.pop()
        if table not in seen:
            seen.add(table)
            pending.extend(lineage.get(table, ()))
    return frozenset(seen)


def _page_status(
    report: CheckReport, page: PageDeclaration, tables: frozenset[str], published: Mapping[str, float]
) -> Mapping[str, str]:
    of_page = dataclasses.replace(
        report, records=[record for record in report.records if record.asset in tables], unit_tests=[]
    )
    status = dict(_status(of_page))
    at = published.get(f"site/{page.name}")
    built = [published[key] for each in page.reports if (key := f"{REPORTS_SCHEMA}/{each}") in published]
    if at is None:
        return {"state": "unknown", "text": "This page was never published: its reports were not built yet."}
    if status["state"] == "blocking":
        status["text"] += f" This page is held: its figures are those of {_time(at)}."
    elif built and at < min(built):
        status = {
            "state": "stale",
            "text": f"This page is older than its reports: it was published on {_time(at)}. {status['text']}",
        }
    return status


def _status(report: CheckReport) -> Mapping[str, str]:
    state = next(iter(report.groups), Urgency.PASSED if report.records else Urgency.UNKNOWN)
    return {"state": state.name.lower(), "text": report.verdict}


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d %b %Y, %H:%M} UTC"


def read_publication_times(
    instance: dg.DagsterInstance, pages: Sequence[PageDeclaration]
) -> Mapping[str, float]:
    """When each page was last published, and each of its reports last built, for `write_status`."""
    keys = {dg.AssetKey(["site", page.name]) for page in pages}
    keys |= {dg.AssetKey([REPORTS_SCHEMA, report]) for page in pages for report in page.reports}
    return {
        record.asset_entry.asset_key.to_user_string(): record.asset_entry.last_materialization_record.timestamp
        for record in instance.get_asset_records(sorted(keys))
        if record.asset_entry.last_materialization_record is not None
    }
