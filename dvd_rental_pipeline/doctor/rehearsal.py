"""The rehearsal: what no stand-in proves, checked on the real accounts of a production deployment.

Each step may cost something or wait for a service, unlike an examination. `docs/rehearsal.md` lists them.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.setting_groups.snowflake import SnowflakeEdition
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
    from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
    from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse

_MAX_NAMES = 5


@dataclass(frozen=True)
class StepOutcome:
    """The result of a step: whether it passed, and what was found."""

    passed: bool
    found: str


@dataclass(frozen=True)
class RehearsalStep:
    """One step: what it proves, what it costs, what is expected, and the check itself."""

    name: str
    cost: str
    expected: str
    check: Callable[["Rehearsal"], StepOutcome]
    is_expensive: bool = False


@dataclass
class Rehearsal:
    """One production deployment with one replicated domain."""

    settings: Settings
    pipeline: CapturePipeline

    def require_settings(self) -> None:
        """Require what the steps need.

        Raises:
            SettingsError: settings are missing; the message lists them.
        """
        names = (self.pipeline.connection_setting, self.pipeline.source_setting, "airbyte_workspace_id")
        self.settings.require("the rehearsal", *self.settings.airbyte_credentials, *names)
        self.settings.require_snowflake()

    def run(
        self, *, expensive: bool, on_start: Callable[[str], None]
    ) -> Iterator[tuple[RehearsalStep, StepOutcome]]:
        """Each step with its outcome, as soon as it is known; with `expensive` also copies of every table."""
        for step in STEPS:
            if step.is_expensive and not expensive:
                continue
            on_start(step.name)
            try:
                yield step, step.check(self)
            except PipelineError as error:
                yield step, StepOutcome(False, str(error))

    def warehouse(self) -> "SnowflakeWarehouse":
        from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin  # noqa: PLC0415 - slow imports
        from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse  # noqa: PLC0415

        return SnowflakeWarehouse(SnowflakeLogin.from_settings(self.settings), {"command": "rehearse"})

    def client(self) -> "AirbyteClient":
        from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient  # noqa: PLC0415 - slow imports

        return AirbyteClient.from_settings(self.settings)

    @property
    def connection_id(self) -> str:
        return str(getattr(self.settings, self.pipeline.connection_setting))

    @contextmanager
    def ingestion(self) -> Iterator["AirbyteIngestion"]:
        from dvd_rental_pipeline.assembly.resources import build_ingestion  # noqa: PLC0415 - slow imports

        self.settings.export()
        ingestion: Any = build_ingestion(self.settings, self.pipeline)
        # Outside of a run, references to the environment are resolved here.
        with ingestion.process_config_and_initialize_cm() as resource:
            yield resource


def _log_in(rehearsal: Rehearsal) -> StepOutcome:
    ((user, role),) = rehearsal.warehouse().query("select current_user(), current_role()").values
    return StepOutcome(True, f"Logged in as {user} with the role {role}.")


def _connectors(rehearsal: Rehearsal) -> StepOutcome:
    from dvd_rental_pipeline.ingestion.airbyte.connector_versions import outdated_connectors  # noqa: PLC0415

    client = rehearsal.client()
    connection = client.connection(rehearsal.connection_id)
    ids = {"source": str(connection["sourceId"]), "destination": str(connection["destinationId"])}
    outdated = outdated_connectors(client, ids)
    return StepOutcome(not outdated, " ".join(outdated) or "Both connectors are recent enough.")


def _sync(rehearsal: Rehearsal) -> StepOutcome:
    return _run_sync(rehearsal, full_refresh=False)


def _run_sync(rehearsal: Rehearsal, *, full_refresh: bool) -> StepOutcome:
    log: Any = logging.getLogger(__name__)
    started = time.monotonic()
    with rehearsal.ingestion() as ingestion:
        outcome = ingestion.sync(rehearsal.pipeline.domain, log, full_refresh=full_refresh)
    if outcome.failures:
        return StepOutcome(False, "; ".join(f"{name}: {reason}" for name, reason in outcome.failures.items()))
    return StepOutcome(True, f"{len(outcome.metadata)} tables after {time.monotonic() - started:.0f} s.")


def _blank_texts(rehearsal: Rehearsal) -> StepOutcome:
    log: Any = logging.getLogger(__name__)
    with rehearsal.ingestion() as ingestion:
        tables = ingestion.inspect(rehearsal.pipeline.domain, log).tables
    differing = [name for name, table in tables.items() if not table.agrees]
    if differing:
        return StepOutcome(False, f"These differ from the source: {_names(differing)}.")
    compared = sum(table.columns is not None for table in tables.values())
    return StepOutcome(True, f"{len(tables)} tables agree, {compared} of them in the sums of every column.")


def _positions(rehearsal: Rehearsal) -> StepOutcome:
    log: Any = logging.getLogger(__name__)
    with rehearsal.ingestion() as ingestion:
        inspection = ingestion.inspect(rehearsal.pipeline.domain, log)
    retained = inspection.facts.slot.retained_bytes if inspection.facts and inspection.facts.slot else 0
    pending = {name: table.pending for name, table in inspection.tables.items() if table.pending}
    found = f"The slot retains {retained / 1e6:,.1f} MB of log; {sum(pending.values()):,} changes are pending"
    if not pending:
        return StepOutcome(True, f"{found}.")
    return StepOutcome(
        False,
        f"{found}, in {_names(sorted(pending))}. Repeat this while the source does not change.",
    )


def _grants(rehearsal: Rehearsal) -> StepOutcome:
    refreshed = _run_sync(rehearsal, full_refresh=True)
    if not refreshed.passed:
        return refreshed
    domain, warehouse = rehearsal.pipeline.domain, rehearsal.warehouse()
    for table in domain.tables:
        warehouse.query(f"select 1 from {domain.name}.{table.name} limit 1")
    role = rehearsal.settings.snowflake_role
    return StepOutcome(True, f"{role} reads all {len(domain.tables)} tables after a refresh. {refreshed.found}")


def _masks(rehearsal: Rehearsal) -> StepOutcome:
    from dvd_rental_pipeline.transform.manifest import read_manifest  # noqa: PLC0415 - slow imports
    from dvd_rental_pipeline.transform.parsing import update_manifest  # noqa: PLC0415 - slow imports

    if rehearsal.settings.snowflake_edition is SnowflakeEdition.STANDARD:
        return StepOutcome(
            True, "The Standard edition has no policies: reporters read views without these columns."
        )
    database = rehearsal.settings.snowflake_database.upper()
    references = f"{database}.information_schema.policy_references"
    rows = rehearsal.warehouse().query(
        "select ref_schema_name, ref_entity_name, ref_column_name"
        f" from table({references}(policy_name => '{database}.GOVERNANCE.PERSONAL_TEXT'))"
    )
    masked = {
        (str(schema).rpartition(".")[2].upper(), str(name).upper(), str(column).upper())
        for schema, name, column in rows.values
    }
    tables = (
        rehearsal.warehouse().query("select table_schema, table_name from information_schema.tables").values
    )
    present = {(str(schema).upper(), str(name).upper()) for schema, name in tables}
    manifest = read_manifest(update_manifest(rehearsal.settings))
    expected = {
        (model.schema.upper(), model.name.upper(), column.name.upper())
        for model in manifest.models.values()
        for column in model.columns
        if column.is_personal and (model.schema.upper(), model.name.upper()) in present
    }
    unmasked = [".".join(each) for each in sorted(expected - masked)]
    if unmasked:
        return StepOutcome(False, f"{len(unmasked)} personal columns have no policy: {_names(unmasked)}.")
    if not expected:
        return StepOutcome(False, "No table with personal columns exists yet: `dvd-rental run` builds them.")
    return StepOutcome(True, f"All {len(expected)} personal columns have their policy.")


def _monitors(rehearsal: Rehearsal) -> StepOutcome:
    from dvd_rental_pipeline.warehouse.snowflake_account.spending import workloads  # noqa: PLC0415 - slow imports

    shown = rehearsal.warehouse().query("show warehouses").records()
    monitors = {str(row["name"]).upper(): str(row.get("resource_monitor") or "null") for row in shown}
    seen = {each.warehouse: each for each in workloads() if each.warehouse in monitors}
    without = [name for name in seen if monitors[name].lower() == "null"]
    if without or not seen:
        return StepOutcome(False, f"Without a monitor: {_names(without) or 'no warehouse is visible'}.")
    shared = len({monitors[name] for name in seen}) < len(seen)
    found = "; ".join(f"{name} by {monitors[name]}" for name in seen)
    return StepOutcome(not shared, f"{'Shared monitors: ' if shared else ''}{found}.")


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


STEPS = (
    RehearsalStep("login by key", "a second of TRANSFORMING", "user and role of the pipeline", _log_in),
    RehearsalStep("connector versions", "nothing", "both connectors are recent enough", _connectors),
    RehearsalStep("one sync", "a sync: LOADING, Airbyte's volume", "every table is loaded", _sync),
    RehearsalStep(
        "values after a sync",
        "a scan of the raw tables",
        "all tables agree, blank texts included",
        _blank_texts,
    ),
    RehearsalStep(
        "positions after a sync",
        "a scan of the positions",
        "nothing pending, though the slot holds it",
        _positions,
    ),
    RehearsalStep("masking policies", "nothing", "every personal column has its policy", _masks),
    RehearsalStep("resource monitors", "nothing", "each warehouse has a monitor of its own", _monitors),
    RehearsalStep(
        "grants after a refresh",
        "a copy of every table: LOADING, Airbyte's volume",
        "TRANSFORMER reads every table",
        _grants,
        is_expensive=True,
    ),
)
