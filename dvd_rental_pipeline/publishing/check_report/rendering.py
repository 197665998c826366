"""The report on every check of a code location, and each of its formats, for the command line."""

from collections.abc import Callable, Sequence

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE, RUNBOOK_PATH
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.publishing.check_report.as_html import render_html
from dvd_rental_pipeline.publishing.check_report.as_json import render_json
from dvd_rental_pipeline.publishing.check_report.as_junit import render_junit
from dvd_rental_pipeline.publishing.check_report.as_markdown import render_markdown
from dvd_rental_pipeline.publishing.check_report.declared_checks import declared_checks
from dvd_rental_pipeline.publishing.check_report.reading import read_data_as_of, read_report
from dvd_rental_pipeline.publishing.check_report.records import CheckReport
from dvd_rental_pipeline.publishing.repository import repository_url
from dvd_rental_pipeline.publishing.runbook_text import read_runbook
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.parsing import update_manifest
from dvd_rental_pipeline.warehouse.interface import Rows


def read_full_report(
    definitions: dg.Definitions,
    domains: Sequence[Domain],
    instance: dg.DagsterInstance,
    settings: Settings,
    query: Callable[[str], Rows],
) -> CheckReport:
    """The report on every check of `definitions`; `query` executes SQL in the warehouse."""
    manifest = read_manifest(update_manifest(settings))
    return read_report(
        instance,
        declared_checks(definitions.resolve_asset_graph().assets_defs),
        unit_tests=manifest.unit_tests,
        data_as_of=read_data_as_of(query),
        private=private_columns(manifest, domains),
    )


def render(report: CheckReport, report_format: str, settings: Settings) -> str:
    """`report` as `html`, `md`, `json` or `junit`; `settings` may name the repository, for links.

    Raises:
        ValueError: another format.
    """
    match report_format:
        case "html":
            return render_html(report, read_runbook(RUNBOOK_PATH))
        case "md":
            return render_markdown(report, repository_url(settings, RUNBOOK_FILE))
        case "json":
            return render_json(report)
        case "junit":
            return render_junit(report)
        case _:
            raise ValueError(report_format)
