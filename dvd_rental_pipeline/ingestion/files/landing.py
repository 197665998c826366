"""A landing zone: files that are written once, and runs that become visible as a whole.

A run writes its files under names that no other run uses, then its manifest. Manifests are numbered without
gaps, and a number is written once: of two concurrent runs, one becomes visible. Files that no manifest names do
not count.
"""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dvd_rental_pipeline.ingestion.files.object_store import ObjectStore, ObjectStoreError

_READERS = 16


class LandedContent(StrEnum):
    """What a landed file contains."""

    ROWS = "rows"
    DELETED = "deleted"  # the keys of deleted rows


class LandedFile(BaseModel):
    """A file of a run. The times are the least and the greatest `last_updated`; None for deleted keys."""

    model_config = ConfigDict(frozen=True)

    table: str
    content: LandedContent
    key: str
    rows: int
    first_updated: datetime | None = None
    last_updated: datetime | None = None


class RunManifest(BaseModel):
    """A run that is visible.

    Attributes:
        sequence: number of the run in the zone, from 1.
        run: name of the run, unique also among failed attempts.
        landed_at: time of the manifest, in UTC; its day is the partition of the files.
        watermark: changes of transactions that started before are in this run or an earlier one.
        complete: whether the run compared whole tables, which also finds deleted rows.
        files: what the run landed.
        window: the files of all runs that may contain rows at or after the next run's lower bound.
    """

    model_config = ConfigDict(frozen=True)

    sequence: int
    run: str
    landed_at: datetime
    watermark: datetime
    complete: bool
    files: tuple[LandedFile, ...]
    window: tuple[LandedFile, ...] = ()

    @property
    def day(self) -> date:
        """The partition of the run."""
        return self.landed_at.date()

    @property
    def stem(self) -> str:
        """The name of the run's files in every zone: folders of the day, number and name of the run."""
        return f"{self.day:%Y/%m/%d}/{self.sequence:08}-{self.run}"

    def of(self, table: str, content: LandedContent = LandedContent.ROWS) -> Sequence[LandedFile]:
        """The run's files of a table."""
        return [file for file in self.files if file.table == table and file.content is content]


@dataclass(frozen=True)
class LandingZone:
    """The landing zone of the domain `name` in `store`."""

    store: ObjectStore
    name: str

    def file_key(self, table: str, stem: str, content: LandedContent = LandedContent.ROWS) -> str:
        """The key of a file: `<domain>/<table>/<yyyy>/<mm>/<dd>/<sequence>-<run>.parquet`."""
        suffix = "" if content is LandedContent.ROWS else f".{content.value}"
        return f"{self.name}/{table}/{stem}{suffix}.parquet"

    def newest(self) -> RunManifest | None:
        """The last visible run; None in an empty zone."""
        keys = self.store.keys(self._prefix)
        return self._read(keys[-1]) if keys else None

    def manifests(self) -> Sequence[RunManifest]:
        """All visible runs in order.

        Raises:
            ObjectStoreError: a manifest cannot be read or is not valid.
        """
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._read, self.store.keys(self._prefix)))

    def publish(self, manifest: RunManifest) -> None:
        """Make a run visible, once all its files are written.

        Raises:
            ObjectStoreError: another run became visible since this one started.
        """
        key = f"{self._prefix}{manifest.sequence:08}.json"
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(manifest.model_dump_json(indent=2))
            file.flush()
            self.store.put_new(key, Path(file.name))

    @property
    def _prefix(self) -> str:
        return f"{self.name}/_manifests/"

    def _read(self, key: str) -> RunManifest:
        try:
            return RunManifest.model_validate_json(self.store.read(key))
        except ValidationError as error:
            raise ObjectStoreError(
                f"{self.store.address(key)} is not a manifest: {error.error_count()} fields are not valid. "
                "Restore it from the bucket's versions."
            ) from None


def landed_files(
    manifests: Sequence[RunManifest], table: str, content: LandedContent = LandedContent.ROWS
) -> Mapping[str, int]:
    """The sequence of the run of each file of a table, by key."""
    return {file.key: manifest.sequence for manifest in manifests for file in manifest.of(table, content)}


def utc_now() -> datetime:
    """The time in UTC, without a zone, in milliseconds."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
