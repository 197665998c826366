"""The report in its four formats, and as an asset."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import jsonschema
import pytest

from dvd_rental_pipeline.automation.conditions import after_any_of
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.runbook import RUNBOOK_PATH
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.check_report import as_json
from dvd_rental_pipeline.publishing.check_report.as_html import format_history, render_html
from dvd_rental_pipeline.publishing.check_report.as_json import render_json
from dvd_rental_pipeline.publishing.check_report.as_junit import render_junit
from dvd_rental_pipeline.publishing.check_report.as_markdown import (
    SHORT_LIMIT,
    render_markdown,
    render_short_markdown,
)
from dvd_rental_pipeline.publishing.check_report.declared_checks import declared_checks
from dvd_rental_pipeline.publishing.check_report.reading import LAYERS
from dvd_rental_pipeline.publishing.check_report.records import (
    CheckRecord,
    CheckReport,
    Outcome,
    PastOutcome,
    worst_first,
)
from dvd_rental_pipeline.publishing.checks_asset import CHECKS_KEY, build_checks_asset
from dvd_rental_pipeline.publishing.repository import repository_url
from dvd_rental_pipeline.publishing.runbook_text import read_runbook
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.manifest import DbtUnitTest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.publishing.scripted_checks import Script, build_graph

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
HOSTILE = "<script>alert('|')</script> `x` \x00 [a](b)"


def record(outcome: Outcome, **fields: Any) -> CheckRecord:
    history = [PastOutcome(Outcome.PASSED, NOW, "r1"), PastOutcome(outcome, NOW, "r2")]
    values: dict[str, Any] = {
        "asset": "marts/fct_payment",
        "check": f"check_{outcome.value.replace(' ', '_')}",
        "layer": "marts",
        "owners": ["finance"],
        "description": "As many `payments` as the source has",
        "blocking": False,
        "severity": "error",
        "outcome": outcome,
        "found": "2 rows fail.",
        "stale": False,
        "failed_rows": 7,
        "sample": [{"payment_id": 1, "amount": None}, {"payment_id": 2, "amount": "3.50"}],
        "numbers": {"share": 0.25},
        "at": NOW,
        "run_id": "r2",
        "history": [] if outcome is Outcome.NOT_RUN else history,
        "runbook": "conservation",
        **fields,
    }
    return CheckRecord(**values)


def report(*records: CheckRecord) -> CheckReport:
    return CheckReport(
        records=worst_first(records, LAYERS),
        unit_tests=[DbtUnitTest("fct_rental", "a_return_is_late", "To the second.")],
        made_at=NOW,
        data_as_of=datetime(2026, 11, 20, 22, 15),
    )


@pytest.fixture
def full_report() -> CheckReport:
    """A check of each outcome, one that blocks, one out of date, and one with markup in its texts."""
    return report(
        *(record(outcome) for outcome in Outcome),
        record(Outcome.FAILED, check="totals", blocking=True),
        record(Outcome.PASSED, check="old", stale=True),
        record(
            Outcome.WARNED, check="hostile", found=HOSTILE, description=HOSTILE, sample=[{HOSTILE: HOSTILE}]
        ),
    )


def test_checks_are_sorted_by_urgency_then_by_layer() -> None:
    ordered = report(
        record(Outcome.PASSED, layer="raw"),
        record(Outcome.PASSED, layer="staging", stale=True),
        record(Outcome.WARNED, layer="raw"),
        record(Outcome.FAILED, layer="reports"),
        record(Outcome.FAILED, layer="raw"),
        record(Outcome.NOT_RUN, layer="raw"),
        record(Outcome.ERRORED, layer="reports", blocking=True),
    ).records
    assert [(entry.outcome.value, entry.layer) for entry in ordered] == [
        ("errored", "reports"),
        ("failed", "raw"),
        ("failed", "reports"),
        ("not run", "raw"),
        ("passed", "staging"),
        ("warned", "raw"),
        ("passed", "raw"),
    ]


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([], "There are no checks."),
        ([record(Outcome.PASSED), record(Outcome.PASSED)], "All 2 checks passed."),
        ([record(Outcome.PASSED), record(Outcome.WARNED)], "The data can be used; 1 check warns."),
        ([record(Outcome.PASSED, stale=True)], "No check failed, but 1 check is older than the data."),
        (
            [record(Outcome.SKIPPED), record(Outcome.NOT_RUN)],
            "No check failed, but 2 checks were not evaluated.",
        ),
        ([record(Outcome.FAILED), record(Outcome.PASSED)], "1 check failed; nothing is blocked."),
        ([record(Outcome.FAILED, blocking=True)], "1 check failed and blocked downstream tables."),
    ],
)
def test_the_verdict_is_one_sentence(records: list[CheckRecord], verdict: str) -> None:
    assert report(*records).verdict.startswith(verdict)


def test_json_follows_its_published_schema(full_report: CheckReport) -> None:
    schema = json.loads(Path(as_json.__file__).with_name("schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    rendered = json.loads(render_json(full_report))
    jsonschema.validate(rendered, schema, cls=jsonschema.Draft202012Validator)
    assert rendered["blocking_failures"] == 1
    assert rendered["counts"]["passed"] == 2
    assert rendered["checks"][0]["check"] == "totals"
    assert rendered["checks"][0]["runbook"] == "docs/runbook.md#conservation"
    assert rendered["data_as_of"] == "2026-11-20T22:15:00"


def test_junit_has_a_test_case_for_each_check(full_report: CheckReport) -> None:
    root = ET.fromstring(render_junit(full_report))  # noqa: S314 - rendered by this package
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    assert len(cases) == len(full_report.records)
    assert root.attrib["failures"] == "2"
    assert root.attrib["errors"] == "1"
    assert root.attrib["skipped"] == "3"
    failure = cases["totals"].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "2 rows fail.", "type": "blocking"}
    assert "payment_id=1, amount=null" in str(failure.text)
    assert "docs/runbook.md#conservation" in str(failure.text)
    assert [child.tag for child in cases["check_warned"]] == ["system-out"], "a warning is not a failure"
    assert [child.tag for child in cases["check_not_run"]] == ["skipped"]
    assert list(cases["check_passed"]) == []


def test_the_short_markdown_fits_into_the_ui_with_any_number_of_failures() -> None:
    broken = [
        record(Outcome.FAILED, check=f"{'long_name_' * 20}{number}", found=HOSTILE * 5) for number in range(300)
    ]
    text = render_short_markdown(report(*broken))
    assert len(text) < SHORT_LIMIT
    assert re.search(r"- and 29\d more$", text)
    assert "300 failed" in text


def test_the_short_markdown_lists_the_worst_checks(full_report: CheckReport) -> None:
    text = render_short_markdown(full_report)
    assert text.startswith("**1 check failed and blocked downstream tables.**")
    assert text.index("totals") < text.index("check_failed") < text.index("check_warned")
    assert "Data as of 2026-11-20 22:15." in text
    assert "check_passed" not in text


def test_markup_in_the_data_is_escaped_in_markdown(full_report: CheckReport) -> None:
    text = render_markdown(full_report)
    assert "<script>" not in text
    tables = [line for line in text.splitlines() if line.startswith("| `")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {7}, "no cell breaks its row"


def test_markdown_links_to_the_repository_if_its_address_is_known(full_report: CheckReport) -> None:
    assert "[runbook](" not in render_markdown(full_report), "a relative link leads nowhere from a CI job"
    assert "`docs/runbook.md#conservation`" in render_markdown(full_report)
    settings = Settings(code_url="https://github.com/club/rentals/").model_copy(
        update={"git_branch": "release"}
    )
    text = render_markdown(full_report, repository_url(settings, "docs/runbook.md"))
    assert "[runbook](https://github.com/club/rentals/blob/release/docs/runbook.md#conservation)" in text
    on_gitlab = Settings(code_url="https://gitlab.com/club/rentals")
    assert repository_url(on_gitlab, "a.md") == "https://gitlab.com/club/rentals/-/blob/main/a.md"


def test_the_long_markdown_counts_each_layer(full_report: CheckReport) -> None:
    row = next(line for line in render_markdown(full_report).splitlines() if line.startswith("| marts"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["10", "2", "1", "2", "1", "1", "1", "2"]


def test_the_page_loads_nothing_and_runs_no_script(full_report: CheckReport) -> None:
    text = render_html(full_report, read_runbook(RUNBOOK_PATH))
    assert "default-src 'none'; style-src 'sha256-" in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=[\"'](?!#)", text)
    assert not re.search(r"\s(?:on\w+|style)=", text)


def test_every_link_of_the_page_has_its_target_on_the_page(full_report: CheckReport) -> None:
    text = render_html(full_report, read_runbook(RUNBOOK_PATH))
    anchors = re.findall(r"\sid=\"([^\"]+)\"", text)
    assert len(anchors) == len(set(anchors))
    links = set(re.findall(r"href=\"#([^\"]+)\"", text))
    assert "conservation" in links
    assert links <= set(anchors)


def test_the_history_is_available_as_text() -> None:
    past = [PastOutcome(outcome, NOW, "") for outcome in (Outcome.PASSED, Outcome.PASSED, Outcome.FAILED)]
    assert format_history(past) == "2 times passed, then failed"
    assert format_history([]) == "never evaluated"


@pytest.mark.browser
def test_a_browser_applies_the_style_under_the_content_security_policy(
    full_report: CheckReport, tmp_path: Path
) -> None:
    browser = next((path for path in map(shutil.which, ("chromium", "google-chrome")) if path), None)
    if browser is None:
        pytest.skip("no browser found: install Chromium")
    page = tmp_path / "checks.html"
    page.write_text(render_html(full_report, read_runbook(RUNBOOK_PATH)), encoding="utf-8")
    # The page has no script that could report on it: the log of the browser and a screenshot do.
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"),
        *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--log-level=0"),
        *("--window-size=500,900", f"--screenshot={tmp_path / 'page.png'}", page.as_uri()),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Content Security Policy" not in shown.stderr, "the hash in the policy is not that of the style"
    assert (tmp_path / "page.png").stat().st_size > 20_000, "a screenshot without style and icons is smaller"
    dumped = subprocess.run(
        [*command[:-2], "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    assert "1 check failed and blocked downstream tables." in dumped.stdout
    assert dumped.stdout.count("<article") == len(full_report.records) - 5, "passed checks are a list"


def test_the_page_is_published_by_a_run_with_a_failed_blocking_check(parsed_home: Path) -> None:
    settings = Settings(home=parsed_home)
    script = Script({"keys": "fail", "amounts": "pass", "totals": "pass"})
    graph = build_graph(script)
    checks = declared_checks(graph.resolve_asset_graph().assets_defs)
    page = build_checks_asset(
        load_dbt_project(settings),
        [DVD_RENTAL],
        checks,
        LAYER_FRESHNESS["checks"],
        after_any_of([CHECKS_KEY]),
        lineage={},
    )
    resources = {
        "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
        "site": FolderSite(path=str(settings.site_dir)),
    }
    definitions = dg.Definitions.merge(graph, dg.Definitions(assets=[page], resources=resources))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)

    assert not result.success
    steps = [str(event.step_key) for event in result.all_events if event.event_type_value == "STEP_START"]
    assert steps[-1] == "site__checks", "it is last, so that it reports on the checks of its own run"
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == CHECKS_KEY]
    metadata = event.materialization.metadata
    assert metadata["blocking_failures"].value == 1
    assert metadata["skipped"].value == 1, "the check of the mart, which this run skipped"
    assert len(str(metadata["report"].value)) < SHORT_LIMIT
    assert metadata["address"].value == (settings.site_dir / "checks" / "index.html").as_uri()
    shown = (settings.site_dir / "checks" / "index.html").read_text(encoding="utf-8")
    assert "1 check failed and blocked downstream tables." in shown
    assert "unknown" in shown, "there is no warehouse that has a data timestamp"
    published = json.loads((settings.site_dir / "checks" / "checks.json").read_text(encoding="utf-8"))
    assert {check["check"]: check["outcome"] for check in published["checks"]} == {
        "keys": "failed",
        "amounts": "passed",
        "totals": "skipped",
    }


def test_a_passed_check_that_measures_shows_what_it_found() -> None:
    latency = "The slowest change of the last day took 1.5 minutes."
    shown = render_html(report(record(Outcome.PASSED, found=latency, numbers={"latency_minutes": 1.5})), {})
    assert f"<small>{latency}</small>" in shown
    assert latency not in render_html(report(record(Outcome.PASSED, found=latency, numbers={})), {})


def test_a_record_without_runbook_owners_and_sample_is_shown() -> None:
    alone = report(replace(record(Outcome.FAILED), runbook=None, description="", sample=[], owners=[]))
    text = render_html(alone, {})
    assert "check failed" in text
    assert "What to do" not in text
