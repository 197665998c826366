"""What a command shows while the graph runs and afterwards."""

import io
import uuid
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from dvd_rental_pipeline.cli import graph_runs
from dvd_rental_pipeline.cli.graph_runs import show_run
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs.report import Layer, RunReport

RUN_ID = str(uuid.uuid4())


def shown(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    problems: list[str],
    reports: list[str] | None = None,
    pages: list[str] | None = None,
    settings: Settings | None = None,
    reused: tuple[int, int] = (0, 0),
) -> str:
    """What is printed of a run with these problems, reports and pages, as plain text."""
    output = io.StringIO()
    monkeypatch.setattr(graph_runs, "messages", Console(file=output, width=200))
    report = RunReport(
        run_id=RUN_ID,
        success=not problems,
        seconds=12.34,
        step_seconds={"dbt_models": 10.0},
        layers=[Layer("marts", 15, 40_000, checks_passed=100, checks_warned=1, checks_failed=0, seconds=9.0)],
        problems=problems,
        warnings=["check marts/fct_payment:is_paid_by_renter failed: 4 rows fail."],
        reports=reports or [],
        pages={page: f"file:///{page}" for page in (pages or ["checks"])},
        reused_assets=reused[0],
        reused_checks=reused[1],
    )
    show_run(report, settings or Settings(home=tmp_path), tmp_path / "run.log")
    return output.getvalue()


def test_a_good_run_ends_with_its_layers_and_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = shown(monkeypatch, tmp_path, problems=[])
    for part in (
        f"Run {RUN_ID[:8]}",
        "40,000",
        "100 passed, 1 warned",
        "dbt_models 10.0 s",
        "Warning: check marts/fct_payment:is_paid_by_renter failed: 4 rows fail.",
        "Report on all checks: file:///checks",
        f"Warehouse: {tmp_path}",
    ):
        assert part in text
    assert "Failed:" not in text


def test_the_most_useful_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = shown(
        monkeypatch, tmp_path, problems=[], reports=["late_returns", "top_films"], pages=["checks", "sales"]
    )
    commands = ["show top_films", "reports", "site --open", "dev"]
    places = [text.index(f"  dvd-rental {command} ") for command in commands]
    assert places == sorted(places)
    assert places[-1] < text.index("Report on all checks")
    assert max(map(len, text.split("Explore")[1].partition("Report on")[0].splitlines())) <= 80


def test_a_warehouse_in_postgresql_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, warehouse_url=SecretStr("postgresql://loader:planted-secret@host/db"))
    text = shown(monkeypatch, tmp_path, problems=[], settings=settings)
    assert "Warehouse: the database of DVD_RENTAL_WAREHOUSE_URL" in text
    assert "planted-secret" not in text


def test_only_what_the_run_built_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = shown(monkeypatch, tmp_path, problems=[], reports=["sales_by_product"])
    assert "dvd-rental show sales_by_product" in text
    assert "dvd-rental site" not in text
    assert "dvd-rental reports" not in shown(monkeypatch, tmp_path, problems=[])


def test_what_was_reused_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "Reused" not in shown(monkeypatch, tmp_path, problems=[])
    text = shown(monkeypatch, tmp_path, problems=[], reused=(30, 200))
    assert "Reused, since nothing has changed for them: assets 30, checks 200" in text


def test_the_printed_seconds_are_those_since_the_program_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(graph_runs, "seconds_since_start", lambda: 31.0)
    text = shown(monkeypatch, tmp_path, problems=[])
    assert "31.0 s in total, most of it: loading the graph 18.7 s, dbt_models 10.0 s" in text


def test_a_failed_run_ends_with_its_problems_and_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = shown(monkeypatch, tmp_path, problems=["dbt_models: [the reason]"])
    assert "Failed: dbt_models: [the reason]" in text
    assert f"Output of the steps: {tmp_path / 'run.log'}" in text
    assert "Warehouse:" not in text
