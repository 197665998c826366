"""Copying tables in full, all from one moment of the source."""

import os
from dataclasses import replace
from datetime import UTC, datetime

from dvd_rental_pipeline.ingestion.postgres_cdc.connect import slot
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import format_lsn
from dvd_rental_pipeline.ingestion.postgres_cdc.copy import snapshot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.plan import state
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.attempt import (
    Attempt,
    Job,
    PlannedCopy,
    TableSyncError,
    key_note,
    raw_table,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import compare
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredTable
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import iso
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import UnrepresentableKeyError


def copy_some(job: Job, run: Attempt) -> None:
    """Copy the tables that cannot be followed, from a snapshot of their own, beside the slot."""
    if not run.to_copy:
        return
    row = run.connection.execute("select pg_backend_pid()").fetchone()
    name = f"{job.slot[:40]}_copy_{row[0] if row else os.getpid()}"
    with slot.created(
        job.source_url, name, temporary=True, wait_seconds=job.wait_seconds, announce=job.announce
    ) as exported:
        _copy(job, run, exported)


def copy_all(job: Job, run: Attempt, usable: list[Relation], there: slot.Slot | None, reason: str) -> None:
    """Begin anew: a new slot, and every table copied from the moment at which it starts."""
    if there is not None:
        job.announce(f"dropping the replication slot {job.slot}: {reason}")
        slot.drop(run.connection, job.slot, job.wait_seconds)
    for relation in usable:
        before = run.known.tables.get(relation.name)
        drift = compare(before, relation, run.members[relation.oid]) if before is not None else None
        run.to_copy[relation.name] = PlannedCopy(relation, reason, drift)
    with slot.created(
        job.source_url, job.slot, temporary=False, wait_seconds=job.wait_seconds, announce=job.announce
    ) as exported:
        previous = run.known.source
        offset = run.now.lsn_offset
        if previous is not None:
            offset = max(offset, previous.lsn + previous.lsn_offset - exported.lsn + 1)
        run.now = replace(run.now, lsn=exported.lsn, last_commit=None, lsn_offset=offset)
        _copy(job, run, exported)


def _copy(job: Job, run: Attempt, exported: slot.ExportedSnapshot) -> None:
    job.on_step(Step.SLOT_CREATED)
    row = run.connection.execute("select clock_timestamp()").fetchone()
    moment = iso(row[0] if row else datetime.now(UTC))
    with snapshot.joined(job.source_url, exported.name, job.announce) as reader:
        for name, copy in run.to_copy.items():
            job.announce(f"copying {name} in full: {copy.reason}")
            try:
                run.keep(name, _copy_table(job, run, copy, reader, lsn=exported.lsn, moment=moment))
            except UnrepresentableKeyError as error:
                raise TableSyncError(name, str(error)) from error
            job.on_step(Step.TABLE_COPIED)


def _copy_table(
    job: Job, run: Attempt, copy: PlannedCopy, reader: snapshot.SnapshotReader, *, lsn: int, moment: str
) -> tuple[TableSync, StoredTable]:
    relation = copy.relation
    before = run.known.tables.get(relation.name)
    generation = before.generation + 1 if before else 0
    retired = copy.drift.retired if copy.drift else before.retired if before else {}
    raw = raw_table(job, run, relation, retired, generation)
    raw.start_replacement(keep_tombstones=before is not None and before.key == relation.key)
    copied = reader.copy(raw, lsn, moment)
    gone, tombstones = raw.finish_replacement(lsn, moment)
    rows = copied.rows
    stored = replace(
        state.stored(
            relation,
            membership=run.members[relation.oid],
            retired=retired,
            lsn=lsn,
            generation=generation,
        ),
        rows=rows,
        tombstones=tombstones,
    )
    followed_to = max(before.lsn, run.known.source.lsn) if before and run.known.source else None
    sync = TableSync(
        table=relation.name,
        mode="snapshot",
        reason=copy.reason,
        rows=rows,
        rows_before=before.rows if before else 0,
        inserted=rows,
        deleted=gone,
        tombstones=tombstones,
        bytes=copied.bytes,
        lsn_from=format_lsn(followed_to) if followed_to is not None else None,
        lsn_to=format_lsn(lsn),
        seconds=copied.seconds,
        schema_changes=(*(copy.drift.descriptions if copy.drift else ()), *key_note(job, relation)),
    )
    return sync, stored
