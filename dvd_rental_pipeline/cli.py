"""The `dvd-rental` command: reads arguments, calls the module that does the work, shows the outcome.

Data goes to stdout, everything else to stderr. What is slow to import is imported by the command that needs it.
"""

import csv
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from dvd_rental_pipeline.errors import PipelineError
from dvd_rental_pipeline.home import require_room
from dvd_rental_pipeline.settings import Deployment, Settings

if TYPE_CHECKING:
    import psycopg
    from dagster import DagsterInstance, Definitions, EventLogEntry

    from dvd_rental_pipeline.airbyte.api import Airbyte
    from dvd_rental_pipeline.airbyte.plan import Plan
    from dvd_rental_pipeline.airbyte.wanted import Wanted
    from dvd_rental_pipeline.launch import RunReport
    from dvd_rental_pipeline.replication.outcome import TableVerification
    from dvd_rental_pipeline.snowflake_account.design import Account
    from dvd_rental_pipeline.snowflake_session import SnowflakeSession
    from dvd_rental_pipeline.source.access import Source
    from dvd_rental_pipeline.source.capture import Measure, Reader

messages = Console(stderr=True, highlight=False)

REPORT_FILES = {"html": "checks.html", "md": "checks.md", "json": "checks.json", "junit": "checks.xml"}


class Commands(TyperGroup):
    """All commands end alike: a mistake in one message and exit code 1, Ctrl-C in one and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            messages.print("Interrupted. Nothing is half done: the same command starts again.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="PostgreSQL, replicated into a warehouse and modelled with dbt, as one Dagster graph.",
)
source_app = typer.Typer(no_args_is_help=True, help="The PostgreSQL database that the pipeline replicates.")
app.add_typer(source_app, name="source")
setup_app = typer.Typer(no_args_is_help=True, help="Prepare a PostgreSQL server for change capture.")
source_app.add_typer(setup_app, name="setup")
airbyte_app = typer.Typer(no_args_is_help=True, help="The source, destination and connection in Airbyte.")
app.add_typer(airbyte_app, name="airbyte")

# Like `terraform plan -detailed-exitcode`: 0 nothing to do, 1 an error, 2 something to do.
SOMETHING_TO_DO = 2
snowflake_app = typer.Typer(no_args_is_help=True, help="The Snowflake account, which an administrator sets up.")
app.add_typer(snowflake_app, name="snowflake")
checks_app = typer.Typer(
    no_args_is_help=True, help="The asset checks: evaluate them alone, and report on them."
)
app.add_typer(checks_app, name="checks")


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def run(
    select: Annotated[
        str | None,
        typer.Option(help="Assets to materialize, in Dagster's selection syntax, e.g. '+group:reports'."),
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Copy every table anew and rebuild every model.")
    ] = False,
) -> None:
    """Materialize the graph, or a selection, and run its checks, once."""
    settings = Settings.load()
    log_file = settings.home / "logs" / "run.log"
    with _loaded_graph(settings) as (definitions, instance, tell):
        from dvd_rental_pipeline.launch import run_graph

        report = run_graph(
            definitions,
            instance,
            selection=select,
            full_refresh=full_refresh,
            log_file=log_file,
            on_event=_teller(tell),
        )
    _show_run(report, settings, log_file)
    if not report.success or report.problems:
        if settings.alerts_topic is not None:
            # Nobody may be looking: such a run is no run of the daemon's, whose sensor would tell.
            from dvd_rental_pipeline.automation.run_failures import send_failure

            alerts = definitions.resources["alerts"]  # type: ignore[index]
            log = logging.getLogger(__name__)
            send_failure(alerts, report.run_id, "dvd-rental run", "\n".join(report.problems), log)
        raise typer.Exit(1)


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(help="One statement that reads, e.g. 'select * from reports.top_films'.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Answer a read-only SQL question from the warehouse."""
    if as_json and as_csv:
        raise PipelineError("Choose one of --json and --csv.")
    settings = Settings.load()
    from dvd_rental_pipeline.resources.reading import query_warehouse

    with _progress() as tell:
        answer = query_warehouse(settings, sql, tell)
    if as_json:
        print(json.dumps(answer.records(), indent=2, default=_json_value))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.values)
    else:
        table = Table()
        for position, column in enumerate(answer.columns):
            numeric = any(isinstance(row[position], int | float | Decimal) for row in answer.values)
            table.add_column(escape(column), justify="right" if numeric else "left")
        for row in answer.values:
            table.add_row(*("" if value is None else escape(str(value)) for value in row))
        Console(highlight=False).print(table)


def _json_value(value: object) -> float | str:
    """What JSON has no type for: a decimal becomes a number, a date or time ISO 8601."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


@app.command()
def doctor() -> None:
    """Say what is configured, what is missing and how to mend it; never prints a secret."""
    from dvd_rental_pipeline.doctor import Health, examine

    findings = examine()
    table = Table(show_header=False, box=None)
    marks = {Health.GOOD: "[green]ok[/]", Health.NOTE: "[yellow]note[/]", Health.BAD: "[bold red]mend[/]"}
    for finding in findings:
        table.add_row(marks[finding.health], finding.subject, escape(finding.found))
        if finding.remedy:
            table.add_row("", "", f"[bold]→[/] {escape(finding.remedy)}")
    Console(highlight=False).print(table)
    if any(finding.health is Health.BAD for finding in findings):
        raise typer.Exit(1)


AdminUser = Annotated[str | None, typer.Option("--user", help="Log in as this user instead of the pipeline's.")]
AdminKey = Annotated[Path | None, typer.Option("--private-key", help="Private key file of that user.")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="ROLE=FILE: make the service user of a role, e.g. LOADER=airbyte.pub."),
]
Credits = Annotated[int, typer.Option("--credits", min=1, help="Credits a month for all warehouses.")]
AllowedIps = Annotated[
    list[str] | None, typer.Option("--allow-ip", help="Address or CIDR range that the service users come from.")
]


@snowflake_app.command("plan")
def snowflake_plan(
    public_key: PublicKeys = None,
    spend: Credits = 30,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Print the SQL that the account lacks; all of it when the account cannot be read. Changes nothing."""
    settings = Settings.load()
    from dvd_rental_pipeline.snowflake_account import difference

    account = _snowflake_account(settings, public_key, spend, allow_ip)
    try:
        with _snowflake_admin(settings, user, private_key) as session:
            plan = difference.compare(account, session)
    except PipelineError as error:
        messages.print(f"[bold yellow]All of it, as the account cannot be read.[/] {escape(str(error))}")
        plan = difference.whole(account)
    print(difference.script(plan.missing))
    if plan.repeated:
        messages.print(
            f"{len(plan.missing)} statements are missing. `apply` also sets {len(plan.repeated)} properties to "
            "their values, whatever they are."
        )


@snowflake_app.command("apply")
def snowflake_apply(
    public_key: PublicKeys = None,
    spend: Credits = 30,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Make what the account lacks. Needs the role ACCOUNTADMIN; to run it again is harmless."""
    settings = Settings.load()
    from dvd_rental_pipeline.snowflake_account import difference

    account = _snowflake_account(settings, public_key, spend, allow_ip)
    with _progress() as tell, _snowflake_admin(settings, user, private_key) as session:
        made = difference.apply(account, session, tell)
    messages.print(f"The account is as it should be: {made} statements were missing.")


@snowflake_app.command("clone-branch")
def snowflake_clone_branch(
    branch: Annotated[str, typer.Argument(help="What its schemas begin with, e.g. my_change.")],
    drop: Annotated[bool, typer.Option("--drop", help="Take the schemas away instead.")] = False,
) -> None:
    """Begin a branch's schemas as clones of production's, without copying data."""
    settings = Settings.load()
    from dvd_rental_pipeline.settings import schema_prefix
    from dvd_rental_pipeline.snowflake_account.design import Account
    from dvd_rental_pipeline.snowflake_session import SnowflakeLogin, open_snowflake

    account = Account(settings.snowflake_database)
    prefix = schema_prefix(branch)
    statements = account.drop_branch(prefix) if drop else account.clone_branch(prefix)
    with _progress() as tell, open_snowflake(SnowflakeLogin.of(settings), {"command": "branch"}) as session:
        for statement in statements:
            tell(statement)
            session.execute(statement)
    messages.print(f"{len(statements)} schemas of `{prefix}` were {'dropped' if drop else 'cloned'}.")


def _snowflake_account(
    settings: Settings, public_keys: list[str] | None, spend: int, allowed_ips: list[str] | None
) -> "Account":
    from dvd_rental_pipeline.snowflake_account.design import Account, read_public_keys

    return Account(
        database=settings.snowflake_database.upper(),
        public_keys=read_public_keys(public_keys or []),
        credits=spend,
        allowed_ips=allowed_ips or [],
    )


@contextmanager
def _snowflake_admin(
    settings: Settings, user: str | None, private_key: Path | None
) -> Iterator["SnowflakeSession"]:
    """A session of an administrator, who may come before there is a database or a warehouse."""
    from dvd_rental_pipeline.snowflake_session import SnowflakeLogin, open_snowflake

    given: dict[str, object] = {"snowflake_role": "ACCOUNTADMIN"}
    if user is not None:
        given["snowflake_user"] = user
    if private_key is not None:
        given |= {"snowflake_private_key_path": private_key, "snowflake_private_key": None}
        if private_key.is_file() and b"ENCRYPTED" not in private_key.read_bytes():
            # The passphrase of the settings is that of the pipeline's own key.
            given["snowflake_private_key_passphrase"] = None
    login = SnowflakeLogin.of(settings.model_copy(update=given))
    with open_snowflake(replace(login, database=None), {"command": "set-up"}) as session:
        yield session


@checks_app.command("run")
def checks_run(
    select: Annotated[
        str | None,
        typer.Option(
            help="Assets whose checks to evaluate, in Dagster's selection syntax, e.g. 'group:marts'."
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Let numbers beyond their learnt bounds pass, and learn them.")
    ] = False,
) -> None:
    """Evaluate the checks on the data as they are, dbt's tests among them; materializes nothing.

    Exit code 1 if a blocking check failed or a check could not be evaluated.
    """
    settings = Settings.load()
    log_file = settings.home / "logs" / "run.log"
    with _loaded_graph(settings) as (definitions, instance, tell):
        from dvd_rental_pipeline.launch import run_checks

        report = run_checks(
            definitions,
            instance,
            selection=select,
            accept=accept,
            log_file=log_file,
            on_event=_teller(tell),
        )
    _show_run(report, settings, log_file)
    if not report.success:
        raise typer.Exit(1)


@checks_app.command("report")
def checks_report(
    formats: Annotated[
        str, typer.Option("--format", help="One or more of html, md, json and junit, with commas.")
    ] = "html",
    output: Annotated[
        str | None,
        typer.Option(
            help="A folder for the files; `-` prints one format. Default: `checks` in the home folder."
        ),
    ] = None,
) -> None:
    """Report what is known of every check, from the history of runs; evaluates nothing.

    Exit code 1 if a blocking check failed or could not be evaluated, so that a CI job can end with it.
    """
    settings = Settings.load()
    chosen = list(dict.fromkeys(formats.split(",")))
    if unknown := set(chosen) - set(REPORT_FILES):
        raise PipelineError(
            f"Unknown format {', '.join(sorted(unknown))}: choose of {', '.join(REPORT_FILES)}."
        )
    if output == "-" and len(chosen) > 1:
        raise PipelineError("Only one format can be printed: give one --format, or a folder as --output.")
    with _progress() as tell:
        tell("reading the history of the checks")
        from dvd_rental_pipeline.definitions import build_definitions
        from dvd_rental_pipeline.launch import open_instance
        from dvd_rental_pipeline.reporting.check_report.rendering import read_whole_report, render
        from dvd_rental_pipeline.resources.reading import query_warehouse

        definitions = build_definitions(settings)
        with open_instance(settings) as instance:
            report = read_whole_report(
                definitions, instance, settings, lambda sql: query_warehouse(settings, sql, tell)
            )
    messages.print(report.verdict)
    if output == "-":
        print(render(report, chosen[0]))
    else:
        folder = settings.home / "checks" if output is None else Path(output)
        for name in chosen:
            messages.print(str(_write(folder / REPORT_FILES[name], render(report, name))), soft_wrap=True)
    if report.blocking_failures:
        raise typer.Exit(1)


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(
            f"Cannot write {path}: {error.strerror}. Choose another folder with --output."
        ) from None
    return path


@source_app.command("start")
def source_start() -> None:
    """Start the embedded PostgreSQL and keep it until `source stop`."""
    source = _source()
    with _progress() as tell:
        tell("starting PostgreSQL")
        status = source.embedded.start()
    messages.print(f"PostgreSQL {status.version} is running at {status.url}", soft_wrap=True)


@source_app.command("stop")
def source_stop() -> None:
    """Stop the embedded PostgreSQL."""
    stopped = _source().embedded.stop()
    messages.print("PostgreSQL has stopped." if stopped else "PostgreSQL was not running.")


@source_app.command("status")
def source_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell where the source is, whether it runs, and how many rows it holds. Starts nothing."""
    status = _source().status()
    if as_json:
        print(json.dumps(status.as_dict(), indent=2))
        return
    table = Table(show_header=False, box=None)
    for name, value in status.as_dict().items():
        if name != "row_counts":
            table.add_row(name.replace("_", " "), "" if value is None else escape(str(value)))
    for name, rows in (status.row_counts or {}).items():
        table.add_row(f"rows in {name}", f"{rows:,}")
    Console(highlight=False, soft_wrap=True).print(table)


@source_app.command("generate")
def source_generate(
    scale: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="1 is about the size of the original: 16 thousand rentals."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")] = 42,
) -> None:
    """Fill the embedded PostgreSQL with sample data; what it held is replaced."""
    source = _source()
    from dvd_rental_pipeline.source.generator.generate import generate

    with _progress() as tell, source.embedded.lease() as url:
        counts = generate(url, scale=scale, seed=seed, progress=tell)
    _show_counts(counts, "rows")


@source_app.command("restore")
def source_restore(
    path: Annotated[Path, typer.Argument(help="dvdrental.tar, a custom-format dump, or plain SQL.")],
) -> None:
    """Fill the embedded PostgreSQL from a dump; what it held is replaced once the dump is in."""
    source = _source()
    from dvd_rental_pipeline.source.restore import restore

    with _progress() as tell, source.embedded.lease() as url:
        counts = restore(url, path, progress=tell)
    _show_counts(counts, "rows")


@source_app.command("simulate")
def source_simulate(
    events: Annotated[int, typer.Option(min=1, help="How many business events.")] = 500,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; without it, all at once.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same choices.")] = None,
) -> None:
    """Let business go on: rentals, returns, payments, changes and deletions."""
    source = _source()
    from dvd_rental_pipeline.source.simulator import simulate

    with _progress() as tell, source.open(tell) as url:
        counts = simulate(url, events=events, rate=rate, seed=seed, progress=tell)
    _show_counts(counts, "events")


@source_app.command("verify")
def source_verify(
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Compare about this many rows of larger tables, and the number of all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
) -> None:
    """Compare every replicated table with its source, row by row, at one moment; exit code 1 on a difference.

    Changes that the next sync will bring are no difference. Nothing is changed on either side.
    """
    settings = Settings.load()
    if settings.deployment is not Deployment.LOCAL:
        raise settings.unavailable("comparing the tables of Airbyte row by row")
    source = _source()
    from dataclasses import asdict

    from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL
    from dvd_rental_pipeline.replication.verification import Verifier

    with _progress() as tell, source.open(tell) as url:
        verifier = Verifier(
            url,
            settings.warehouse_path,
            list(DVD_RENTAL.primary_keys()),
            source_schema=DVD_RENTAL.source_schema,
            target_schema=DVD_RENTAL.name,
            slot=settings.replication_slot,
            on_progress=tell,
        )
        found = list(verifier.verify(sample_rows=sample).values())
    if as_json:
        print(json.dumps([{**asdict(table), "agrees": table.agrees} for table in found], indent=2))
    else:
        _show_verification(found)
    differing = [table.table for table in found if not table.agrees]
    if differing:
        messages.print(f"[bold red]{len(differing)} of {len(found)} tables differ[/]: {', '.join(differing)}")
        messages.print("`dvd-rental run --full-refresh` copies every table anew.")
        raise typer.Exit(1)
    messages.print(f"All {len(found)} tables are level with their source.")


def _show_verification(found: Sequence["TableVerification"]) -> None:
    table = Table()
    table.add_column("table", no_wrap=True)
    for heading in ("in source", "compared", "pending"):
        table.add_column(heading, justify="right")
    table.add_column("found")
    for it in found:
        counts = {"missing": it.missing, "surplus": it.surplus, "differing": it.differing}
        different = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        numbers = (it.source_rows, it.compared_rows, it.pending)
        table.add_row(
            it.table,
            *(f"{number:,}" if it.error is None else "" for number in numbers),
            escape(it.error or (f"{different}: {'; '.join(it.keys)}" if different else "equal")),
        )
    Console(highlight=False).print(table)


@setup_app.command("plan")
def source_setup_plan(
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements alone, for somebody else to execute.")
    ] = False,
) -> None:
    """Show what the server lacks, and the SQL that mends it. Exit code 2 when it lacks something."""
    from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL
    from dvd_rental_pipeline.source.capture import measures

    with _server_and_reader() as (connection, reader):
        found = measures(connection, DVD_RENTAL, reader)
    if as_sql:
        for measure in found:
            for statement in measure.shown:
                print(f"{statement};")
    else:
        _show_measures(found)
    if not all(measure.is_taken for measure in found):
        raise typer.Exit(SOMETHING_TO_DO)


@setup_app.command("apply")
def source_setup_apply() -> None:
    """Execute that SQL: role, rights, heartbeat table, publication, slot. Does nothing the second time."""
    from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL
    from dvd_rental_pipeline.source.capture import measures, take

    with _server_and_reader() as (connection, reader):
        done = [measure for measure in take(connection, DVD_RENTAL, reader) if measure.statements]
        found = measures(connection, DVD_RENTAL, reader)
    messages.print(f"Done: {', '.join(measure.subject for measure in done) or 'nothing was missing'}.")
    _show_measures(found)
    if not all(measure.is_taken for measure in found):
        raise typer.Exit(SOMETHING_TO_DO)


@contextmanager
def _server_and_reader() -> Iterator[tuple["psycopg.Connection", "Reader"]]:
    """The source as its administrator, and the role that is to capture its changes."""
    settings = Settings.load()
    settings.require("the set-up of the source", "source_admin_url", "source_url")
    if settings.source_admin_url is None or settings.source_url is None:
        raise AssertionError("both were required")
    from dvd_rental_pipeline.replication.session import connect
    from dvd_rental_pipeline.source.capture import Reader

    reader = Reader.of_url(settings.source_url.get_secret_value(), settings.replication_slot)
    with connect(settings.source_admin_url.get_secret_value()) as connection:
        yield connection, reader


def _show_measures(found: "Sequence[Measure]") -> None:
    table = Table(show_header=False, box=None)
    for measure in found:
        mark = "[green]ok[/]" if measure.is_taken else "[yellow]to do[/]"
        table.add_row(mark, measure.subject, escape(measure.found))
        for step in (*measure.shown, *([f"by hand: {measure.by_hand}"] if measure.by_hand else [])):
            table.add_row("", "", f"[bold]→[/] {escape(step)}")
    Console(highlight=False).print(table)


@airbyte_app.command("plan")
def airbyte_plan() -> None:
    """Show how Airbyte differs from the catalogue and the settings. Exit code 2 when it does."""
    with _airbyte_and_plan() as (_, _, plan):
        _show_plan(plan)
    if not plan.is_empty:
        raise typer.Exit(SOMETHING_TO_DO)


@airbyte_app.command("apply")
def airbyte_apply(
    send_secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Send passwords and keys again, which no plan can compare."),
    ] = False,
) -> None:
    """Create or change source, destination and connection. Does nothing the second time."""
    with _airbyte_and_plan() as (airbyte, wanted, plan):
        _show_plan(plan)
        from dvd_rental_pipeline.airbyte.plan import apply

        connection_id = apply(airbyte, wanted, plan, send_secrets=send_secrets)
        link = airbyte.link(connection_id)
    messages.print("Nothing was to do." if plan.is_empty and not send_secrets else "Done.")
    messages.print(f"The connection is at {link}", soft_wrap=True)
    print(f"DVD_RENTAL_AIRBYTE_CONNECTION_ID={connection_id}")


@airbyte_app.command("status")
def airbyte_status() -> None:
    """Show the last jobs of the connection and what has drifted. Exit code 2 when something has."""
    from dvd_rental_pipeline.airbyte.plan import Part

    with _airbyte_and_plan() as (airbyte, _, plan):
        connection_id = plan.ids[Part.CONNECTION]
        if connection_id is None:
            raise PipelineError("There is no connection yet: `dvd-rental airbyte apply` makes it.")
        jobs = airbyte.jobs(connection_id, limit=10)
        messages.print(f"The connection is at {airbyte.link(connection_id)}", soft_wrap=True)
    table = Table()
    for heading in ("job", "type", "status", "started", "duration", "rows", "bytes"):
        table.add_column(heading, justify="right" if heading in {"job", "rows", "bytes"} else "left")
    for job in jobs:
        values = [job.get(name) for name in ("jobId", "jobType", "status", "startTime", "duration")]
        sizes = [job.get(name) for name in ("rowsSynced", "bytesSynced")]
        table.add_row(
            *("" if value is None else escape(str(value)) for value in values),
            *("" if size is None else f"{size:,}" for size in sizes),
        )
    Console(highlight=False).print(table)
    _show_plan(plan)
    if not plan.is_empty:
        raise typer.Exit(SOMETHING_TO_DO)


@contextmanager
def _airbyte_and_plan() -> Iterator[tuple["Airbyte", "Wanted", "Plan"]]:
    """The workspace, what it should hold, and the difference."""
    from dvd_rental_pipeline.airbyte.api import Airbyte
    from dvd_rental_pipeline.airbyte.plan import make_plan
    from dvd_rental_pipeline.airbyte.wanted import wanted
    from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL

    settings = Settings.load()
    should = wanted(settings, DVD_RENTAL)
    with Airbyte.of_settings(settings) as airbyte:
        yield airbyte, should, make_plan(airbyte, should, settings.airbyte_connection_id)


def _show_plan(plan: "Plan") -> None:
    from dvd_rental_pipeline.airbyte.plan import Part

    table = Table()
    for heading in ("", "field", "now", "wanted"):
        table.add_column(heading)
    for part in Part:
        differences = plan.of(part)
        if plan.ids[part] is None:
            table.add_row(f"[green]+[/] {part}", "", "", "to be created")
        elif differences:
            table.add_row(f"[yellow]~[/] {part}", "", "", "to be changed")
        else:
            table.add_row(f"  {part}", "", "", "as it should be")
        for difference in differences:
            row = (difference.path, difference.now or "", difference.wanted or "taken out")
            table.add_row("", *(escape(text) for text in row))
    Console(highlight=False, soft_wrap=True).print(table)


def _source() -> "Source":
    from dvd_rental_pipeline.source.access import Source

    settings = Settings.load()
    return Source(
        settings.postgres_dir,
        external_url=settings.source_url.get_secret_value() if settings.source_url else None,
        port=settings.source_port,
    )


@contextmanager
def _loaded_graph(
    settings: Settings,
) -> Iterator[tuple["Definitions", "DagsterInstance", Callable[[str], None]]]:
    """The graph, the history of its runs, and a way to tell what is going on."""
    require_room(settings.home)
    with _progress() as tell:
        tell("loading the graph")
        from dvd_rental_pipeline.definitions import build_definitions
        from dvd_rental_pipeline.launch import open_instance

        definitions = build_definitions(settings)
        with open_instance(settings) as instance:
            yield definitions, instance, tell


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is going on now: a spinner on a terminal, silence elsewhere."""
    if not messages.is_terminal:
        yield lambda _: None
        return
    # A stream of its own: while the graph runs, what steps print to stderr goes to a file.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal:
        console = Console(file=terminal, force_terminal=True, highlight=False)
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        ) as progress:
            task = progress.add_task("starting")
            yield lambda text: progress.update(task, description=escape(text))


def _teller(tell: Callable[[str], None]) -> Callable[["EventLogEntry"], None]:
    """Turn the events of a run into lines of progress."""

    def on_event(entry: "EventLogEntry") -> None:
        event = entry.dagster_event
        if event is None:
            if int(entry.level) >= logging.INFO and entry.user_message:
                tell(entry.user_message.splitlines()[0])
        elif event.is_step_start:
            tell(f"{event.step_key}: running")
        elif event.is_step_materialization and event.asset_key is not None:
            tell(f"{event.asset_key.to_user_string()}: done")

    return on_event


def _show_run(report: "RunReport", settings: Settings, log_file: Path) -> None:
    table = Table(title=f"Run {report.run_id[:8]}", title_justify="left")
    table.add_column("layer")
    for heading in ("tables", "rows", "checks", "seconds"):
        table.add_column(heading, justify="right")
    for layer in report.layers:
        checks = f"{layer.checks_passed} passed"
        if layer.checks_warned:
            checks += f", [yellow]{layer.checks_warned} warned[/]"
        if layer.checks_failed:
            checks += f", [bold red]{layer.checks_failed} failed[/]"
        rows = f"{layer.rows:,}" if layer.rows else ""
        table.add_row(layer.group, str(layer.tables), rows, checks, f"{layer.seconds:.1f}")
    messages.print(table)
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in report.step_seconds.items())
    messages.print(f"{report.seconds:.1f} s in all: {steps}", soft_wrap=True)
    for warning in report.warnings:
        messages.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        messages.print(f"[bold red]Failed:[/] {escape(problem)}", soft_wrap=True)
    if "checks" in report.pages:
        messages.print(f"Every check, what it found and what to do: {report.pages['checks']}", soft_wrap=True)
    else:
        messages.print("Every check, what it found and what to do: dvd-rental checks report")
    if report.problems:
        messages.print(f"What the steps printed is in {log_file}", soft_wrap=True)
    else:
        is_local = settings.deployment is Deployment.LOCAL
        warehouse = settings.warehouse_path if is_local else f"the database {settings.snowflake_database}"
        messages.print(
            "\nLook at it:\n"
            "  dvd-rental query 'select * from reports.top_films limit 10'\n"
            "  dagster dev                    the graph, its checks and this run, in the browser\n"
            f"The warehouse is {warehouse}",
            soft_wrap=True,
        )


def _show_counts(counts: Mapping[str, int], unit: str) -> None:
    table = Table(show_header=False, box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    messages.print(table)
    messages.print(f"{sum(counts.values()):,} {unit}")


if __name__ == "__main__":
    main()
