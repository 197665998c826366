"""What a production or branch deployment needs: change capture in the source, Airbyte, Snowflake."""

from collections.abc import Iterator
from dataclasses import replace

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.setting_groups.snowflake import SnowflakeEdition
from dvd_rental_pipeline.core.settings import ENV_PREFIX, Deployment, Settings, SettingsError
from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import setup_steps
from dvd_rental_pipeline.pipelines.registry import PIPELINES

ADVISORY_STEPS = {"max_slot_wal_keep_size", "wal_sender_timeout", "heartbeat"}
"""Set-up steps without which capture works, but less safely."""


def examine_capture(settings: Settings) -> Iterator[Diagnosis]:
    """Whether each source is set up for Airbyte, examined with the rights of the role that Airbyte uses."""
    for pipeline in PIPELINES:
        yield from _examine_capture(settings, pipeline)


def _examine_capture(settings: Settings, pipeline: CapturePipeline) -> Iterator[Diagnosis]:
    variable = f"{ENV_PREFIX}{pipeline.source_setting.upper()}"
    secret = getattr(settings, pipeline.source_setting)
    if secret is None:
        yield Diagnosis(
            Health.NOTE,
            "source",
            "not examined",
            f"set {variable} to the database that Airbyte replicates, as its role there",
        )
        return
    url = secret.get_secret_value()
    try:
        reader = CaptureRole.of_url(url, pipeline.slot(settings))
        with connect(url) as connection:
            steps = setup_steps(connection, pipeline.domain, reader)
    except PipelineError as error:
        remedy = f"fix {variable}, or create its role: dvd-rental source setup apply"
        yield Diagnosis(Health.BAD, "source", str(error), remedy)
        return
    for step in steps:
        if step.is_done:
            yield Diagnosis(Health.GOOD, step.subject, step.found)
        else:
            health = Health.NOTE if step.subject in ADVISORY_STEPS else Health.BAD
            remedy = step.manual_step or "dvd-rental source setup apply"
            yield Diagnosis(health, step.subject, step.found, remedy)


def examine_airbyte(settings: Settings) -> Iterator[Diagnosis]:
    """Whether Airbyte accepts the credentials and is configured as desired; a branch does not need it."""
    if settings.deployment is Deployment.PRODUCTION:
        for pipeline in PIPELINES:
            if pipeline.is_configured(settings):
                yield from _examine_airbyte(settings, pipeline)


def _examine_airbyte(settings: Settings, pipeline: CapturePipeline) -> Iterator[Diagnosis]:
    # Only production pays for these imports.
    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.connector_versions import outdated_connectors  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.plan import make_plan  # noqa: PLC0415

    try:
        client = AirbyteClient.from_settings(settings)
        settings.require("ingestion by Airbyte", pipeline.connection_setting)
        connection_id = str(getattr(settings, pipeline.connection_setting))
        connection = client.connection(connection_id)
        url = client.connection_url(connection_id)
        found = f'connection "{connection["name"]}", {connection["status"]}, {url}'
        yield Diagnosis(Health.GOOD, "Airbyte", found)
        ids = {"source": str(connection["sourceId"]), "destination": str(connection["destinationId"])}
        outdated = outdated_connectors(client, ids)
        for message in outdated:
            yield Diagnosis(Health.BAD, "connectors", message, "see docs/airbyte.md")
        if not outdated:
            yield Diagnosis(Health.GOOD, "connectors", "the connectors are recent enough")
        try:
            desired = desired_config(
                settings,
                pipeline.domain,
                slot=pipeline.slot(settings),
                source_setting=pipeline.source_setting,
            )
            plan = make_plan(client, desired, connection_id)
        except SettingsError as error:
            yield Diagnosis(Health.NOTE, "Airbyte set-up", "not compared", str(error))
            return
    except PipelineError as error:
        yield Diagnosis(Health.BAD, "Airbyte", str(error), "fix the settings of Airbyte")
        return
    if plan.is_empty:
        found = "source, destination and connection are configured as desired"
        yield Diagnosis(Health.GOOD, "Airbyte set-up", found)
    for difference in plan.differences:
        yield Diagnosis(Health.NOTE, "Airbyte set-up", str(difference), "dvd-rental airbyte apply")


def examine_snowflake(settings: Settings) -> Iterator[Diagnosis]:
    """Whether Snowflake accepts the login, and has the schemas and the policy that a run needs."""
    # Only production pays for these imports.
    from dvd_rental_pipeline.warehouse.snowflake_account.examination import examine_account  # noqa: PLC0415
    from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin  # noqa: PLC0415
    from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake  # noqa: PLC0415

    try:
        login = SnowflakeLogin.from_settings(settings)
    except PipelineError as error:
        yield Diagnosis(Health.BAD, "Snowflake", str(error), "set them, then run doctor again")
        return
    raw_schemas = [pipeline.domain.name for pipeline in PIPELINES]
    quick = replace(login, login_timeout=min(login.login_timeout, 20), statement_timeout=60)
    try:
        with open_snowflake(quick, {"deployment": settings.deployment.value, "command": "doctor"}) as session:
            seen = examine_account(session, settings.snowflake_database, raw_schemas)
    except PipelineError as error:
        yield Diagnosis(Health.BAD, "Snowflake", str(error), "fix that, then run doctor again")
        return
    yield Diagnosis(
        Health.GOOD,
        "Snowflake",
        f"{login.address}, as {seen.user} with the role {seen.role} and the warehouse {seen.warehouse}",
    )
    remedy = "`dvd-rental snowflake apply`, run by an administrator, creates it"
    if seen.missing_schemas:
        found = f"in {settings.snowflake_database} the role does not see {', '.join(seen.missing_schemas)}"
        yield Diagnosis(Health.BAD, "schemas", found, remedy)
    else:
        yield Diagnosis(Health.GOOD, "schemas", f"all schemas of {settings.snowflake_database} exist")
    if settings.snowflake_edition is SnowflakeEdition.STANDARD:
        found = "the Standard edition has no policies: reporters read views without the personal columns"
        yield Diagnosis(Health.NOTE, "masking", found, "DVD_RENTAL_SNOWFLAKE_EDITION=enterprise, if it is")
    elif seen.has_policy:
        yield Diagnosis(Health.GOOD, "masking", "the policy for personal columns exists")
    else:
        remedy += "; in an account of the Standard edition set DVD_RENTAL_SNOWFLAKE_EDITION=standard"
        yield Diagnosis(Health.BAD, "masking", "no policy for personal columns, which dbt needs", remedy)
