"""What is configured, what is missing, and how to mend it. Looks only; never shows a secret."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.home import MIN_FREE_BYTES
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Deployment, Settings, SettingsError
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.setup import Reader, setup_steps
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.source import Source, without_password
from dvd_rental_pipeline.warehouse.duckdb_file import open_duckdb

SETTING_OF = {"site": "SITE_BUCKET", "alerts": "ALERTS_TOPIC", "run log": "LOG_GROUP"}


class Health(Enum):
    """GOOD needs nothing; NOTE is worth knowing; BAD stops the pipeline."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing looked at, and for what is not good a sentence that says how to mend it."""

    health: Health
    subject: str
    found: str
    remedy: str | None = None


def examine() -> list[Finding]:
    """Look at everything that a run needs, in the order in which it needs it."""
    findings = [_python()]
    try:
        settings = Settings.load()
    except PipelineError as error:
        return [*findings, Finding(Health.BAD, "settings", str(error), "mend the setting, then ask again")]
    findings.append(_settings(settings))
    findings.extend(_home(settings))
    if settings.deployment is Deployment.LOCAL:
        findings.extend(_source(settings))
        findings.append(_warehouse(settings))
    else:
        findings.extend(_capture(settings))
        findings.extend(_airbyte(settings))
        findings.extend(_snowflake(settings))
    findings.extend(_aws(settings))
    return findings


def _python() -> Finding:
    found = f"Python {platform.python_version()}, dagster {version('dagster')}, dbt {version('dbt-core')}"
    return Finding(Health.GOOD, "Python", found)


def _settings(settings: Settings) -> Finding:
    env_file = PROJECT_ROOT / ".env"
    origin = f"the environment and {env_file}" if env_file.exists() else "the environment; there is no .env"
    return Finding(Health.GOOD, "settings", f"deployment `{settings.deployment.value}`, from {origin}")


def _home(settings: Settings) -> Iterator[Finding]:
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        yield Finding(
            Health.BAD,
            "home",
            f"{existing} cannot be written",
            "mend its permissions, or set DVD_RENTAL_HOME to a folder of yours",
        )
        return
    free = shutil.disk_usage(existing).free
    found = f"{settings.home}, {free / 1e9:.1f} GB free"
    if free < MIN_FREE_BYTES:
        yield Finding(Health.BAD, "home", found, "free some space, or set DVD_RENTAL_HOME to a larger disk")
    else:
        yield Finding(Health.GOOD, "home", found)


def _source(settings: Settings) -> Iterator[Finding]:
    external = settings.source_url.get_secret_value() if settings.source_url else None
    source = Source(settings.postgres_dir, external_url=external, port=settings.source_port)
    if external is None:
        try:
            binaries = PostgresBinaries.find()
        except PipelineError as error:
            yield Finding(Health.BAD, "PostgreSQL", str(error), "install the project again")
            return
        yield Finding(Health.GOOD, "PostgreSQL", f"programs in {binaries.folder}")
    try:
        status = source.status()
    except PipelineError as error:
        yield Finding(Health.BAD, "source", str(error), "mend the permissions of that folder")
        return
    if not status.running:
        if external is None:
            yield Finding(Health.GOOD, "source", "embedded, not running; whoever needs it starts it")
        else:
            yield Finding(
                Health.BAD,
                "source",
                f"nothing answers at {without_password(external)}",
                "start that server, or mend DVD_RENTAL_SOURCE_URL",
            )
        return
    yield Finding(Health.GOOD, "source", f"{status.kind} PostgreSQL {status.version} at {status.url}")
    if status.wal_level == "logical":
        yield Finding(Health.GOOD, "wal_level", "logical")
    else:
        yield Finding(
            Health.BAD,
            "wal_level",
            f"{status.wal_level}: the server writes no changes that could be captured",
            "ALTER SYSTEM SET wal_level = 'logical' and restart it; on RDS set rds.logical_replication = 1 "
            "in its parameter group",
        )
    yield from _replication(external or str(status.url), settings)


def _replication(url: str, settings: Settings) -> Iterator[Finding]:
    with psycopg.connect(url, connect_timeout=10) as connection:
        without_key = [
            name
            for (name,) in connection.execute(
                """
                select c.relname
                from pg_class c
                join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = %s and c.relname = any(%s) and c.relkind in ('r', 'p')
                  and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
                """,
                [DVD_RENTAL.source_schema, list(DVD_RENTAL.primary_keys())],
            )
        ]
        slot = connection.execute(
            """
            select wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
            from pg_replication_slots where slot_name = %s
            """,
            [settings.replication_slot],
        ).fetchone()
    if without_key:
        yield Finding(
            Health.BAD,
            "tables",
            f"without a primary key, so not to be replicated: {', '.join(without_key)}",
            "add a primary key to each",
        )
    if slot is None:
        yield Finding(Health.GOOD, "slot", f"`{settings.replication_slot}` is made by the first run")
        return
    wal_status, lag = slot
    found = f"`{settings.replication_slot}` holds back {(lag or 0) / 1e6:.1f} MB of log, status {wal_status}"
    if wal_status == "lost":
        yield Finding(Health.NOTE, "slot", found, "the next run copies every table anew")
    else:
        yield Finding(Health.GOOD, "slot", found)


def _capture(settings: Settings) -> Iterator[Finding]:
    """Whether the source is set up for Airbyte, seen with the rights of the role that Airbyte uses."""
    if settings.source_url is None:
        yield Finding(
            Health.NOTE,
            "source",
            "not looked at",
            "set DVD_RENTAL_SOURCE_URL to the database that Airbyte replicates, as its role there",
        )
        return
    url = settings.source_url.get_secret_value()
    try:
        reader = Reader.of_url(url, settings.replication_slot)
        with connect(url) as connection:
            found = setup_steps(connection, DVD_RENTAL, reader)
    except PipelineError as error:
        remedy = "mend DVD_RENTAL_SOURCE_URL, or make its role: dvd-rental source setup apply"
        yield Finding(Health.BAD, "source", str(error), remedy)
        return
    for step in found:
        if step.is_done:
            yield Finding(Health.GOOD, step.subject, step.found)
        else:
            remedy = step.manual_step or "dvd-rental source setup apply"
            worth_knowing = step.subject in {"max_slot_wal_keep_size", "wal_sender_timeout", "heartbeat"}
            yield Finding(Health.NOTE if worth_knowing else Health.BAD, step.subject, step.found, remedy)


def _airbyte(settings: Settings) -> Iterator[Finding]:
    """Whether Airbyte lets us in, and has what is wanted; a branch does not need it."""
    if settings.deployment is not Deployment.PRODUCTION:
        return
    # Only production pays for these imports.
    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.plan import make_plan  # noqa: PLC0415

    try:
        client = AirbyteClient.from_settings(settings)
        settings.require("ingestion by Airbyte", "airbyte_connection_id")
        connection_id = str(settings.airbyte_connection_id)
        connection = client.connection(connection_id)
        url = client.connection_url(connection_id)
        yield Finding(
            Health.GOOD, "Airbyte", f'connection "{connection["name"]}", {connection["status"]}, {url}'
        )
        try:
            desired = desired_config(settings, DVD_RENTAL, slot=settings.replication_slot)
            plan = make_plan(client, desired, connection_id)
        except SettingsError as error:
            yield Finding(Health.NOTE, "Airbyte set-up", "not compared", str(error))
            return
    except PipelineError as error:
        yield Finding(Health.BAD, "Airbyte", str(error), "mend the settings of Airbyte")
        return
    if plan.is_empty:
        yield Finding(Health.GOOD, "Airbyte set-up", "source, destination and connection are as wanted")
    for difference in plan.differences:
        yield Finding(Health.NOTE, "Airbyte set-up", str(difference), "dvd-rental airbyte apply")


def _snowflake(settings: Settings) -> Iterator[Finding]:
    # Only production pays for these imports.
    from dvd_rental_pipeline.warehouse.snowflake_account.examination import examine_account  # noqa: PLC0415
    from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeLogin, open_snowflake  # noqa: PLC0415

    try:
        login = SnowflakeLogin.of(settings)
    except PipelineError as error:
        yield Finding(Health.BAD, "Snowflake", str(error), "set them, then ask again")
        return
    quick = replace(login, login_timeout=min(login.login_timeout, 20), statement_timeout=60)
    try:
        with open_snowflake(quick, {"deployment": settings.deployment.value, "command": "doctor"}) as session:
            seen = examine_account(session, settings.snowflake_database)
    except PipelineError as error:
        yield Finding(Health.BAD, "Snowflake", str(error), "mend that, then ask again")
        return
    yield Finding(
        Health.GOOD,
        "Snowflake",
        f"{login.address}, as {seen.user} in the role {seen.role}, computing with {seen.warehouse}",
    )
    set_up = "`dvd-rental snowflake apply`, run by an administrator, makes it"
    if seen.missing_schemas:
        found = f"of {settings.snowflake_database} the role does not see {', '.join(seen.missing_schemas)}"
        yield Finding(Health.BAD, "schemas", found, set_up)
    else:
        yield Finding(Health.GOOD, "schemas", f"all of {settings.snowflake_database} are there")
    if seen.has_policy:
        yield Finding(Health.GOOD, "masking", "the policy for personal columns is there")
    else:
        yield Finding(Health.BAD, "masking", "no policy for personal columns, which dbt needs", set_up)


def _warehouse(settings: Settings) -> Finding:
    path: Path = settings.warehouse_path
    if not path.exists():
        return Finding(Health.GOOD, "warehouse", f"{path} is made by the first run")
    try:
        with open_duckdb(path, read_only=True, wait_seconds=2) as connection:
            row = connection.execute("select count(*) from information_schema.tables").fetchone()
    except PipelineError as error:
        return Finding(Health.NOTE, "warehouse", str(error), "if that is a run, wait for it")
    return Finding(Health.GOOD, "warehouse", f"{path}, {row[0] if row else 0} tables and views")


def _aws(settings: Settings) -> Iterator[Finding]:
    """What of AWS the settings name: is it there, and may it be asked for?"""
    if settings.secrets:
        # Whoever holds the settings has read it already.
        yield Finding(Health.GOOD, "secrets", settings.secrets)
    if settings.site_bucket:
        yield _aws_answer(
            "site", f"s3://{settings.site_bucket}", "s3", lambda s3: s3.head_bucket(Bucket=settings.site_bucket)
        )
    if settings.alerts_topic:
        yield _aws_answer(
            "alerts",
            settings.alerts_topic,
            "sns",
            lambda sns: sns.get_topic_attributes(TopicArn=settings.alerts_topic),
        )
    if settings.log_group:
        yield _aws_answer(
            "run log",
            settings.log_group,
            "logs",
            lambda logs: logs.describe_log_streams(logGroupName=settings.log_group, limit=1),
        )


def _aws_answer(subject: str, name: str, service: str, ask: Callable[[Any], object]) -> Finding:
    try:
        with translate_aws_errors():
            ask(aws_client(service, connect_seconds=3, read_seconds=5, attempts=2))
    except AwsError as error:
        if error.code in {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}:
            # A task may write there without the right to look.
            return Finding(Health.NOTE, subject, f"{name} may not be looked at by this role")
        remedy = f"make it (deploy/terraform does), or mend DVD_RENTAL_{SETTING_OF[subject]} or the credentials"
        return Finding(Health.BAD, subject, f"{name}: {error}", remedy)
    return Finding(Health.GOOD, subject, f"{name} is there")
