"""A new user's first day: from an empty home to reports, which follow changes of the source."""

import json
import re

import duckdb
import pytest

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first_run(dvd_rental: CommandLine) -> CommandLine:
    """The command line after a run in an empty home, which generates its own sample data."""
    done = dvd_rental.run("run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "messages go to stderr"
    assert "reports" in done.stderr
    return dvd_rental


def raw_row_counts(command_line: CommandLine) -> dict[str, int]:
    union = " union all ".join(
        f"select '{table.name}' as name, count(*) as n from dvd_rental.{table.name} "
        "where _ab_cdc_deleted_at is null"
        for table in DVD_RENTAL.tables
    )
    return {row["name"]: row["n"] for row in command_line.json("query", union)}


def test_the_first_run_fills_every_table(first_run: CommandLine) -> None:
    counts = raw_row_counts(first_run)
    assert all(counts.values())
    assert counts["rental"] > 10_000
    (row,) = first_run.json(
        "query",
        "select (select sum(revenue) from reports.genre_performance) as by_genre, "
        "(select sum(amount) from dvd_rental.payment) as paid",
    )
    assert row["by_genre"] == row["paid"] > 0


def test_source_status_shows_address_and_row_counts(first_run: CommandLine) -> None:
    first_run.ok("source", "start")
    status = first_run.json("source", "status")
    assert status["running"] is True
    assert status["url"].startswith("postgresql://")
    assert status["wal_level"] == "logical"
    assert status["row_counts"] == raw_row_counts(first_run)


def test_after_traffic_a_second_run_makes_raw_and_source_agree(first_run: CommandLine) -> None:
    first_run.ok("source", "simulate", "--events", "500", "--seed", "7")
    assert raw_row_counts(first_run) != first_run.json("source", "status")["row_counts"]
    (rentals,) = [row for row in first_run.json("source", "verify") if row["table"] == "rental"]
    assert (rentals["agrees"], rentals["pending"] > 0) == (True, True)
    # Part of the marts is now newer than the rest: checks that compare the two are left to a whole run.
    done = first_run.run("run", "--select", '+key:"reports/genre_performance"')
    assert done.returncode == 0, done.stderr
    assert "is_paid_by_renter" in done.stderr, "checks of the selected models are evaluated"
    assert raw_row_counts(first_run) == first_run.json("source", "status")["row_counts"]
    assert all(row["agrees"] and row["pending"] == 0 for row in first_run.json("source", "verify"))


def test_verify_finds_a_corrupted_row_and_a_full_refresh_repairs_it(first_run: CommandLine) -> None:
    with duckdb.connect(first_run.home / "warehouse.duckdb") as warehouse:
        warehouse.execute("update dvd_rental.payment set amount = amount + 1 where payment_id = 5")
    done = first_run.run("source", "verify")
    assert done.returncode == 1, done.stderr
    assert "payment_id=5" in done.stdout
    assert "--full-refresh" in done.stderr
    first_run.ok("run", "--full-refresh", "--select", 'key:"dvd_rental/*"')
    assert "equal their source" in first_run.run("source", "verify").stderr


def test_a_selection_runs_only_what_it_selects_and_the_terminal_stays_quiet(first_run: CommandLine) -> None:
    log = first_run.home / "logs" / "run.log"
    logged = log.stat().st_size
    code, shown = first_run.on_terminal("run", "--select", "top_films")
    assert code == 0, shown
    assert "reports" in shown
    assert "staging" not in shown
    assert re.search(r"\d+ of \d+ · ", shown), "progress has what is done and the total"
    assert "loading the graph" in shown
    # What the steps log is in the file, and nowhere else.
    assert "DEBUG" not in shown
    assert "DEBUG" in log.read_bytes()[logged:].decode()
    settled = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    widest = max(re.split(r"[\r\n]+", settled), key=len)
    tables = [line for line in re.split(r"[\r\n]+", settled) if line[:1] in "┏┃┡│└"]
    assert tables, settled
    assert all(len(line) <= 80 for line in tables), widest


def test_reports_are_listed_and_shown(first_run: CommandLine) -> None:
    listed = {row["report"]: row for row in first_run.json("reports")}
    (built,) = first_run.json("query", "select count(*) as n from information_schema.tables"
                              " where table_schema = 'reports'")  # fmt: skip
    assert len(listed) >= built["n"]
    top = listed["top_films"]
    assert top["question"].endswith("?")
    assert top["grain"].startswith("One row per")
    assert top["owner"]
    assert top["rows"] > 100
    assert len(first_run.json("show", "top_films")) == 20
    assert len(first_run.json("show", "top_films", "--limit", "0")) == top["rows"]
    code, shown = first_run.on_terminal("show", "reports/top_films", "--limit", "3")
    assert code == 0, shown
    assert all(len(line) <= 80 for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines())
    tables = {(row["table_schema"], row["table_name"]) for row in first_run.json("query", "show tables;")}
    assert {("reports", "top_films"), ("dvd_rental", "film"), ("marts", "dim_film")} <= tables


def test_a_run_publishes_the_check_report(first_run: CommandLine) -> None:
    published = (first_run.home / "site" / "checks" / "index.html").read_text(encoding="utf-8")
    assert "Every row has its own" in published
    assert "Data as of" in published


def test_checks_report_prints_or_writes_the_requested_formats(first_run: CommandLine) -> None:
    done = first_run.run("checks", "report", "--format", "json", "--output", "-")
    assert done.returncode == 3, "a run of a selection left comparisons with other tables to a whole run"
    report = json.loads(done.stdout)
    assert report["blocking_failures"] == 0
    assert report["data_as_of"] is not None
    assert report["counts"]["passed"] > 200
    assert report["counts"]["failed"] == report["counts"]["errored"] == 0
    folder = first_run.home / "ci"
    done = first_run.run("checks", "report", "--format", "md,junit", "--output", str(folder))
    assert (done.returncode, done.stdout) == (3, "")
    assert {path.name for path in folder.iterdir()} == {"checks.md", "checks.xml"}


def test_checks_run_finds_a_failure_that_fails_the_report(first_run: CommandLine) -> None:
    warehouse = first_run.home / "warehouse.duckdb"
    key = "(select min(film_id) from marts.dim_film)"
    with duckdb.connect(warehouse) as connection:
        connection.execute(f"insert into marts.dim_film from marts.dim_film where film_id = {key}")
    select = ("--select", 'key:"marts/dim_film"')
    done = first_run.run("checks", "run", *select)
    assert done.returncode == 1, done.stderr
    assert "marts/dim_film:unique_dim_film_film_id failed: 1 row fails." in done.stderr
    reported = first_run.run("checks", "report", "--format", "json", "--output", "-")
    assert reported.returncode == 1, "a CI job must fail"
    worst = json.loads(reported.stdout)["checks"][0]
    assert (worst["check"], worst["outcome"]) == ("unique_dim_film_film_id", "failed")
    assert worst["sample"][0]["n_records"] == 2

    refused = first_run.run("run", "--select", "top_films")
    assert refused.returncode == 1
    assert "marts/dim_film:unique_dim_film_film_id" in refused.stderr
    assert "--force" in refused.stderr

    first_run.ok("run", "--select", 'key:"marts/dim_film"')
    repaired = json.loads(first_run.run("checks", "report", "--format", "json", "--output", "-").stdout)
    assert repaired["blocking_failures"] == 0
    history = next(check for check in repaired["checks"] if check["check"] == worst["check"])["history"]
    assert [past["outcome"] for past in history][-3:] == ["passed", "failed", "passed"]


def test_the_doctor_finds_nothing_to_fix(first_run: CommandLine) -> None:
    found = first_run.ok("doctor")
    assert "logical" in found
    assert "fix" not in found


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["source", "restore", "no_such.tar"], {}, "no_such.tar"),
        (["run", "--select", "group:nothing_like_it"], {}, "No asset has the group 'nothing_like_it'"),
        (["run", "--select", "top_film"], {}, "Similar: reports/top_films"),
        (["show", "top_film"], {}, "Similar: top_films"),
        (["query", ""], {}, "There is no statement"),
        (["query", "select 1; select 2"], {}, "There are 2 statements"),
        (["checks", "report", "--format", "pdf"], {}, "choose from html, md, json, junit"),
        (["checks", "report", "--format", "md,json", "--output", "-"], {}, "Only one format"),
        (["checks", "report", "--output", "/dev/null/report"], {}, "Choose another folder"),
        (
            ["checks", "run", "--select", "group:nothing_like_it"],
            {},
            "No asset has the group 'nothing_like_it'",
        ),
        (["query", "select * from reports.no_such_report"], {}, "no_such_report"),
        (["query", "drop table reports.top_films"], {}, "rejected"),
        (["run"], {"DVD_RENTAL_DEPLOYMENT": "staging"}, "local, branch, production"),
        (["run"], {"DVD_RENTAL_DEPLOYMENT": "production"}, "DVD_RENTAL_AIRBYTE_WORKSPACE_ID: "),
        (["run"], {"DVD_RENTAL_HOME": "/dev/null/home"}, "Cannot write to /dev/null"),
        (["query", "select 1"], {"DVD_RENTAL_HOME": "/nonexistent"}, "dvd-rental run"),
    ],
)
def test_a_user_error_gets_one_message(
    first_run: CommandLine, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    done = first_run.run(*arguments, **environment)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
