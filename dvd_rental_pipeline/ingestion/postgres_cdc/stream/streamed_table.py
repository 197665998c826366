"""A table whose changes are streamed: the messages collected for it until they are taken as a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredTable
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import RowMessages
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import RelationMessage


class StreamMismatchError(Exception):
    """The change stream does not describe a table's rows completely; the text is the reason for a full copy."""


@dataclass(frozen=True)
class Truncation:
    """A TRUNCATE of a table: the LSN of the transaction's commit record, and when it committed."""

    lsn: int
    time: str


class StreamedTable:
    """A table whose changes are streamed.

    Attributes:
        relation: the table as it is now.
        from_lsn: transactions that committed before this LSN are already in the raw table.
        bytes: the size of all messages collected so far.
        mismatch: why its changes do not suffice; None while they do.
    """

    def __init__(self, relation: SourceRelation, stored: StoredTable, from_lsn: int) -> None:
        self.relation = relation
        self.from_lsn = from_lsn
        self.bytes = 0
        self.mismatch: str | None = None
        self._stored = stored
        self._messages: list[RowMessages | Truncation] = []
        self._positions: tuple[int | None, ...] | None = None

    @property
    def positions(self) -> tuple[int | None, ...] | None:
        """For each column, its position in the rows being sent, or None; None: as in the relation."""
        return self._positions

    @property
    def has_messages(self) -> bool:
        """Whether messages have been collected since the last batch."""
        return bool(self._messages)

    def describe_rows(self, message: RelationMessage) -> None:
        """Take over the columns of the rows that follow.

        Raises:
            StreamMismatchError: they fit neither the stored table nor the present one.
        """
        stored = {column.name: column for column in self._stored.columns}
        current = {column.name: column for column in self.relation.columns}
        sent = [column.name for column in message.columns]
        for column in message.columns:
            types = {
                known.type_oid
                for known in (stored.get(column.name), current.get(column.name))
                if known is not None
            }
            if not types and column.name not in self._stored.retired:
                raise StreamMismatchError(f"column {column.name} was added and dropped between syncs")
            if types and column.type_oid not in types:
                raise StreamMismatchError(f"column {column.name} had another type for a while")
            if not column.in_key and column.name in self.relation.key:
                raise StreamMismatchError("it had another replica identity for a while")
        # Columns are sent in the order of their numbers: another order means that names were exchanged.
        kept = [
            name for name, column in stored.items() if name in current and current[name].number == column.number
        ]
        if [name for name in sent if name in kept] != kept:
            raise StreamMismatchError("its columns had other names for a while")
        positions = tuple(sent.index(name) if name in sent else None for name in current)
        self._positions = None if positions == tuple(range(len(sent))) else positions

    def add_rows(self, rows: RowMessages) -> None:
        """Collect inserts, updates and deletes."""
        self._messages.append(rows)
        self.bytes += rows.size

    def add_truncation(self, truncation: Truncation) -> None:
        """Collect a TRUNCATE."""
        self._messages.append(truncation)

    def stop(self, mismatch: str) -> None:
        """Discard the collected messages, and collect no further ones: the table needs a full copy."""
        self.mismatch = mismatch
        self._messages = []

    def take_messages(self) -> Sequence[RowMessages | Truncation]:
        """The messages collected since the last call, in order."""
        messages, self._messages = self._messages, []
        return messages
