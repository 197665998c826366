"""What a local deployment needs: a home folder, the source, its replication slots, the DuckDB file."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.home import MIN_FREE_BYTES
from dvd_rental_pipeline.core.settings import DEFAULT_HOME, ENV_PREFIX, Settings
from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import read_slot
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.sample.databases import sample_database
from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.source import Source, without_password
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse


def examine_home(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the home folder can be written and has room for a run."""
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        yield Diagnosis(
            Health.BAD,
            "home",
            f"{existing} is not writable",
            "fix its permissions, or set DVD_RENTAL_HOME to a folder of your own",
        )
        return
    free = shutil.disk_usage(existing).free
    found = f"{settings.home}, {free / 1e9:.1f} GB free"
    if free < MIN_FREE_BYTES:
        yield Diagnosis(Health.BAD, "home", found, "free some space, or set DVD_RENTAL_HOME to a larger disk")
    else:
        yield Diagnosis(Health.GOOD, "home", found)
    if settings.is_hidden_from_plain_ui:
        found = f"a plain `dagster dev` shows the runs in {DEFAULT_HOME}"
        yield Diagnosis(Health.NOTE, "UI", found, "start it with `dvd-rental dev`")


def examine_source(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the source runs, or can be started, and how it is replicated by each pipeline."""
    external = settings.source_url.get_secret_value() if settings.source_url else None
    source = Source(
        settings.postgres_dir, DVD_RENTAL_DATABASE, external_url=external, port=settings.source_port
    )
    if external is None:
        try:
            binaries = PostgresBinaries.find()
        except PipelineError as error:
            yield Diagnosis(Health.BAD, "PostgreSQL", str(error), "install the project again")
            return
        yield Diagnosis(Health.GOOD, "PostgreSQL", f"programs in {binaries.folder}")
    try:
        status = source.status()
    except PipelineError as error:
        yield Diagnosis(Health.BAD, "source", str(error), "fix the permissions of that folder")
        return
    if not status.running:
        if external is None:
            found = "embedded, not running; commands that need it start it"
            yield Diagnosis(Health.GOOD, "source", found)
        else:
            yield Diagnosis(
                Health.BAD,
                "source",
                f"nothing responds at {without_password(external)}",
                "start that server, or fix DVD_RENTAL_SOURCE_URL",
            )
        return
    yield Diagnosis(Health.GOOD, "source", f"{status.kind} PostgreSQL {status.version} at {status.url}")
    if status.wal_level == "logical":
        yield Diagnosis(Health.GOOD, "wal_level", "logical")
    else:
        yield Diagnosis(
            Health.BAD,
            "wal_level",
            f"{status.wal_level}: the server writes no changes that could be captured",
            "ALTER SYSTEM SET wal_level = 'logical' and restart it; on RDS set rds.logical_replication = 1 "
            "in its parameter group",
        )
    for pipeline in PIPELINES:
        yield from _examine_replication(settings, pipeline)


def _examine_replication(settings: Settings, pipeline: CapturePipeline) -> Iterator[Diagnosis]:
    domain, slot_name = pipeline.domain, pipeline.slot(settings)
    secret = getattr(settings, pipeline.source_setting)
    external = secret.get_secret_value() if secret else None
    source = Source(
        settings.postgres_dir, sample_database(domain.name), external_url=external, port=settings.source_port
    )
    status = source.status()
    if external is not None and not status.running:
        yield Diagnosis(
            Health.BAD,
            domain.name,
            f"nothing responds at {without_password(external)}",
            f"start that server, or fix {ENV_PREFIX}{pipeline.source_setting.upper()}",
        )
        return
    if status.row_counts is None:
        yield Diagnosis(Health.GOOD, domain.name, "its database is created by the first run")
        return
    url = external or str(status.url)
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
                [domain.source_schema, list(domain.primary_keys())],
            )
        ]
        slot = read_slot(connection, slot_name)
    if without_key:
        names = ", ".join(f"{domain.source_schema}.{name}" for name in without_key)
        yield Diagnosis(
            Health.BAD,
            "tables",
            f"without a primary key, so that they cannot be replicated: {names}",
            "add a primary key to each",
        )
    if slot is None:
        yield Diagnosis(Health.GOOD, "slot", f"`{slot_name}` is created by the first run")
        return
    found = f"`{slot_name}` retains {slot.retained_bytes / 1e6:.1f} MB of log, status {slot.status}"
    if slot.status == "lost":
        yield Diagnosis(Health.NOTE, "slot", found, "the next run copies every table in full")
    else:
        yield Diagnosis(Health.GOOD, "slot", found)


def examine_warehouse(settings: Settings) -> Diagnosis:
    """Whether the DuckDB file can be read."""
    path: Path = settings.warehouse_path
    if not path.exists():
        return Diagnosis(Health.GOOD, "warehouse", f"{path} is created by the first run")
    try:
        rows = DuckDBWarehouse(path, wait_seconds=2).query("select count(*) from information_schema.tables")
    except PipelineError as error:
        return Diagnosis(Health.NOTE, "warehouse", str(error), "if a run is using it, wait for that run")
    return Diagnosis(Health.GOOD, "warehouse", f"{path}, {rows.values[0][0]} tables and views")
