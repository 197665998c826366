"""Bringing tables level by their changes, and noting which of them must be copied all the same."""

import time
from dataclasses import replace

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compactor import Compactor
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import format_lsn
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.plan import state
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.attempt import (
    Attempt,
    FollowedTable,
    Job,
    PlannedCopy,
    TableSyncError,
    key_note,
    raw_table,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import compare
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredTable
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import Followed, Stream
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import UnrepresentableKeyError


def follow(job: Job, run: Attempt, usable: list[Relation], confirmed: int, target: int) -> None:
    """Apply the changes of the log, and note which tables must be copied all the same."""
    if run.known.source is None:
        raise AssertionError("changes are followed only from a known position")
    known_lsn = run.known.source.lsn
    for relation in usable:
        before = run.known.tables.get(relation.name)
        if before is None or before.stopped is not None:
            why = "first sync of this table" if before is None else f"it was not followed: {before.stopped}"
            run.to_copy[relation.name] = PlannedCopy(relation, why, None)
            continue
        drift = compare(before, relation, run.members[relation.oid])
        if drift.refresh is not None:
            run.to_copy[relation.name] = PlannedCopy(relation, drift.refresh, drift)
            continue
        raw = raw_table(job, run, relation, drift.retired, before.generation)
        raw.alter(drift.added, drift.widened)
        compactor = Compactor(relation, before, keep_superseded=relation.name in job.history)
        table = FollowedTable(raw, before, drift, compactor)
        run.followed[relation.name] = table
        run.streamed[relation.oid] = Followed(table.compactor, max(before.lsn, known_lsn))
    stream = Stream(run.known.source, confirmed, target, run.streamed, lambda: _apply(job, run))
    end = stream.read(run.connection)
    for name, mismatch in end.mismatches.items():
        run.give_up(name, mismatch)
    _apply(job, run)
    run.now = replace(run.now, last_commit=end.last_commit)
    for name, table in run.followed.items():
        run.keep(name, _outcome(job, run, table))


def _apply(job: Job, run: Attempt) -> None:
    """Write one stretch of folded changes."""
    for name, table in list(run.followed.items()):
        started = time.monotonic()
        try:
            batch = table.compactor.take()
            if not batch:
                continue
            table.counts += table.raw.apply(batch)
        except StreamMismatchError as mismatch:
            run.give_up(name, str(mismatch))
            continue
        except UnrepresentableKeyError as error:
            raise TableSyncError(name, str(error)) from error
        table.truncated |= batch.truncated is not None
        table.last_commit_at = batch.first_and_last()[1]
        table.seconds += time.monotonic() - started
        job.on_step(Step.BATCH_APPLIED)


def _outcome(job: Job, run: Attempt, table: FollowedTable) -> tuple[TableSync, StoredTable]:
    relation = table.raw.relation
    before = table.before
    counts = table.counts
    rows = before.rows + counts.inserted - counts.deleted
    tombstones = before.rows + before.tombstones + counts.added - rows
    stored = replace(
        state.stored(
            relation,
            membership=run.members[relation.oid],
            retired=table.drift.retired,
            lsn=before.lsn,
            generation=before.generation,
        ),
        rows=rows,
        tombstones=tombstones,
    )
    sync = TableSync(
        table=relation.name,
        mode="changes",
        rows=rows,
        rows_before=before.rows,
        inserted=counts.inserted,
        updated=counts.updated,
        deleted=counts.deleted,
        truncated=table.truncated,
        tombstones=tombstones,
        bytes=table.compactor.bytes,
        lsn_from=format_lsn(max(before.lsn, run.known.source.lsn if run.known.source else 0)),
        lsn_to=format_lsn(max(before.lsn, run.now.lsn)),
        last_commit_at=table.last_commit_at,
        seconds=table.seconds,
        schema_changes=(*table.drift.descriptions, *key_note(job, relation)),
    )
    return sync, stored
