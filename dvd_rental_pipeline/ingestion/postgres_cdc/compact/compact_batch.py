"""Compacting the messages of one table in a batch: by column where possible, row by row otherwise."""

from collections.abc import Sequence

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.change_batch import ChangeBatch
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_columns import compact_columns
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import RowCompactor
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import RowMessages
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import Truncation


def compact_batch(
    relation: SourceRelation, messages: Sequence[RowMessages | Truncation], *, keep_superseded: bool
) -> ChangeBatch:
    """The last change of each key and, with `keep_superseded`, the superseded states.

    Raises:
        StreamMismatchError: the changes contradict each other.
    """
    rows = [message for message in messages if isinstance(message, RowMessages)]
    if len(rows) == len(messages):
        compacted = compact_columns(relation, rows, keep_superseded=keep_superseded)
        if compacted is not None:
            return ChangeBatch(*compacted, None)
    compactor = RowCompactor(relation, keep_superseded=keep_superseded)
    truncation = None
    for message in messages:
        if isinstance(message, Truncation):
            truncation = message
            compactor.truncate(message)
        else:
            compactor.add(message)
    return ChangeBatch(compactor.changes(), compactor.superseded(), truncation)
