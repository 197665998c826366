"""The processed zone: Parquet files of the star and of the quarantine, for each run of the landing zone.

Unlike landed files, these may be written again: the same landed files give the same bytes.
"""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dvd_rental_pipeline.ingestion.files.landing import RunManifest
from dvd_rental_pipeline.ingestion.files.object_store import ObjectStore

QUARANTINE = "quarantine"
DELETED = "deleted_row"
_READERS = 16


class ProcessedFile(BaseModel):
    """A file of a run. `table` is one of the star, `quarantine/<source table>`, or `deleted_row`."""

    model_config = ConfigDict(frozen=True)

    table: str
    key: str
    rows: int
    sha256: str


class ProcessedRun(BaseModel):
    """A run that is transformed completely; it has the number of the landed run."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    run: str
    day: date
    files: tuple[ProcessedFile, ...]

    def file(self, table: str) -> ProcessedFile | None:
        """The run's file of `table`, if it has rows."""
        return next((file for file in self.files if file.table == table), None)

    def rows(self, table: str) -> int:
        """The number of rows of the run's file of `table`."""
        file = self.file(table)
        return file.rows if file else 0

    @property
    def quarantined(self) -> Mapping[str, int]:
        """The number of rows that are in quarantine after this run, by source table."""
        prefix = f"{QUARANTINE}/"
        return {
            file.table.removeprefix(prefix): file.rows for file in self.files if file.table.startswith(prefix)
        }


@dataclass(frozen=True)
class ProcessedZone:
    """The processed zone of the domain `name` in `store`."""

    store: ObjectStore
    name: str

    def runs(self) -> Sequence[ProcessedRun]:
        """All transformed runs in order."""
        with ThreadPoolExecutor(_READERS) as readers:
            return list(
                readers.map(
                    lambda key: ProcessedRun.model_validate_json(self.store.read(key)),
                    self.store.keys(f"{self.name}/_manifests/"),
                )
            )

    def newest_sequence(self) -> int:
        """The number of the last transformed run; 0 if there is none."""
        keys = self.store.keys(f"{self.name}/_manifests/")
        return int(keys[-1].rpartition("/")[2].removesuffix(".json")) if keys else 0

    def put(self, table: str, manifest: RunManifest, file: Path, rows: int) -> ProcessedFile:
        """Store a file of the run of `manifest`."""
        key = self._key(table, manifest)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        self.store.replace(key, file)
        return ProcessedFile(table=table, key=key, rows=rows, sha256=digest)

    def drop(self, table: str, manifest: RunManifest) -> None:
        """Remove the file of a table that has no rows in the run of `manifest`."""
        self.store.delete(self._key(table, manifest))

    def publish(self, run: ProcessedRun) -> None:
        """Record that a run is complete, once all its files are written."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(run.model_dump_json(indent=2))
            file.flush()
            self.store.replace(f"{self.name}/_manifests/{run.sequence:08}.json", Path(file.name))

    def _key(self, table: str, manifest: RunManifest) -> str:
        return f"{self.name}/{table}/{manifest.stem}.parquet"
