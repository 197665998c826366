"""The whole report of a deployment, and each form of it, as the command line asks for them."""

import json
from collections.abc import Callable

import dagster as dg

from dvd_rental_pipeline.core.runbook import RUNBOOK_PATH
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.check_report.as_html import render_html
from dvd_rental_pipeline.publishing.check_report.as_json import render_json
from dvd_rental_pipeline.publishing.check_report.as_junit import render_junit
from dvd_rental_pipeline.publishing.check_report.as_markdown import render_markdown
from dvd_rental_pipeline.publishing.check_report.reading import (
    declared_checks,
    read_data_as_of,
    read_report,
    read_unit_tests,
)
from dvd_rental_pipeline.publishing.check_report.records import CheckReport
from dvd_rental_pipeline.publishing.runbook_text import read_runbook
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.duckdb_file import Rows


def read_whole_report(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    settings: Settings,
    query: Callable[[str], Rows],
) -> CheckReport:
    """What `instance` knows of every check of `definitions`; `query` asks the warehouse."""
    manifest = json.loads(load_dbt_project(settings).manifest_path.read_text(encoding="utf-8"))
    return read_report(
        instance,
        declared_checks(definitions.resolve_asset_graph().assets_defs),
        unit_tests=read_unit_tests(manifest),
        data_as_of=read_data_as_of(query),
        private=private_columns(manifest, DVD_RENTAL),
    )


def render(report: CheckReport, form: str) -> str:
    """`report` as `html`, `md`, `json` or `junit`."""
    match form:
        case "html":
            return render_html(report, read_runbook(RUNBOOK_PATH))
        case "md":
            return render_markdown(report)
        case "json":
            return render_json(report)
        case "junit":
            return render_junit(report)
        case _:
            raise ValueError(form)
