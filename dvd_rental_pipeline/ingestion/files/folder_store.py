"""A folder as an object store."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dvd_rental_pipeline.ingestion.files.object_store import ObjectExistsError, ObjectStore, ObjectStoreError

if TYPE_CHECKING:
    import duckdb

_PARTIAL_PREFIX = ".partial-"


@dataclass(frozen=True)
class FolderStore(ObjectStore):
    """The files under `folder`. A file appears under its name when it is complete.

    A key that leads out of the folder, as in a manifest that someone changed, is refused.
    """

    folder: Path

    def put_new(self, key: str, file: Path) -> None:
        with self._partial_copy(key, file) as partial:
            try:
                # Unlike a rename, a link fails if the name exists.
                os.link(partial, self._path(key))
            except FileExistsError:
                raise ObjectExistsError(self.address(key)) from None

    def replace(self, key: str, file: Path) -> None:
        with self._partial_copy(key, file) as partial:
            partial.replace(self._path(key))

    def read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise ObjectStoreError(f"Cannot read {self.address(key)}: {error.strerror}.") from None

    def keys(self, prefix: str) -> Sequence[str]:
        files = self._path(prefix.rpartition("/")[0]).rglob("*")
        names = (file.relative_to(self.folder).as_posix() for file in files if file.is_file())
        return sorted(
            name for name in names if name.startswith(prefix) and f"/{_PARTIAL_PREFIX}" not in f"/{name}"
        )

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def address(self, key: str) -> str:
        return str(self._path(key))

    def connect(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Nothing to do: DuckDB reads local files."""

    def _path(self, key: str) -> Path:
        if ".." in PurePosixPath(key).parts or PurePosixPath(key).is_absolute():
            raise ObjectStoreError(f"The key {key!r} leads out of {self.folder}. It is not read or written.")
        return self.folder / key

    @contextmanager
    def _partial_copy(self, key: str, file: Path) -> Iterator[Path]:
        """A complete copy of `file` on the same file system as `key`, removed afterwards."""
        folder = self._path(key).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=_PARTIAL_PREFIX)
            partial = Path(name)
            try:
                with os.fdopen(handle, "wb") as target, file.open("rb") as content:
                    shutil.copyfileobj(content, target)
                    target.flush()
                    os.fsync(target.fileno())
                # Readable for others, as any new file: a temporary file is not.
                partial.chmod(0o644)
                yield partial
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise ObjectStoreError(
                f"Cannot write {self.address(key)}: {error.strerror or error}. Free some space, or fix the "
                "permissions of the folder."
            ) from None
