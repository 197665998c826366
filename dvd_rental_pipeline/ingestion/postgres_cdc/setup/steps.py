"""All setup steps of a server, in order: what `source setup plan` shows, and `source setup apply` executes.

`doctor` evaluates them with the privileges of the capture role itself. All of it is idempotent.
"""

from collections.abc import Sequence

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.captured_changes import publication_step, slot_step
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.role_privileges import (
    heartbeat_step,
    replication_step,
    role_step,
    select_step,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.server_parameters import parameter_steps
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep
from dvd_rental_pipeline.sample.errors import SourceError


def setup_steps(connection: psycopg.Connection, domain: Domain, reader: CaptureRole) -> Sequence[SetupStep]:
    """The steps with their present state, in the order in which they have to be taken.

    Raises:
        psycopg.Error: a query failed.
    """
    return [
        *parameter_steps(connection),
        role_step(connection, reader),
        replication_step(connection, reader),
        select_step(connection, domain, reader),
        heartbeat_step(connection, reader),
        publication_step(connection, domain, reader),
        slot_step(connection, reader),
    ]


def apply_steps(connection: psycopg.Connection, domain: Domain, reader: CaptureRole) -> Sequence[SetupStep]:
    """Execute the statements of all steps that are not done, and return those steps.

    Raises:
        SourceError: a table is missing, or the server refuses.
    """
    missing = [step for step in setup_steps(connection, domain, reader) if not step.is_done]
    for step in missing:
        try:
            for statement in step.statements:
                connection.execute(statement)
        except psycopg.Error as error:
            raise SourceError(
                f"{step.subject}: the server refused: {str(error).strip().splitlines()[0]}. Set "
                "DVD_RENTAL_SOURCE_ADMIN_URL to the URL of the tables' owner, who may create roles (on Amazon "
                "RDS the master user). Completed steps stay; run the same command again to continue."
            ) from None
    return missing
