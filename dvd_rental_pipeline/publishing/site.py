"""The site resource: where pages are published."""

import errno
import secrets
import shutil
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError

# Errors of a rename when another run has published the part meanwhile, as two syncs do the check report.
_REPLACED_MEANWHILE = {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}
_ATTEMPTS = 100


class Site(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Static pages, in parts that are replaced as a whole."""

    @abstractmethod
    def publish(self, part: str, pages: Path) -> str:
        """Replace `part` of the site with the files in `pages`; returns the address of its index page.

        Raises:
            PipelineError: the site cannot be written; the part is unchanged.
        """

    @abstractmethod
    def publish_file(self, path: str, content: bytes, *, is_immutable: bool = False) -> None:
        """Write one file outside of the parts. The content of an immutable one never changes under its `path`.

        Raises:
            PipelineError: the site cannot be written; the file is unchanged.
        """

    @abstractmethod
    def has(self, path: str) -> bool:
        """Whether the file `path` has been published."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of the published file `path`.

        Raises:
            PipelineError: it cannot be read.
        """


class FolderSite(Site):
    """A local folder, opened in a browser or served by a web server."""

    path: str

    def has(self, path: str) -> bool:
        return Path(self.path, path).is_file()

    def read(self, path: str) -> bytes:
        file = Path(self.path, path)
        try:
            return file.read_bytes()
        except OSError as error:
            raise PipelineError(f"Cannot read {file}: {error.strerror}. Publish the site again.") from error

    def publish_file(self, path: str, content: bytes, *, is_immutable: bool = False) -> None:
        file = Path(self.path, path)
        new = file.with_name(f".{file.name}-{secrets.token_hex(4)}-new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                new.write_bytes(content)
                new.replace(file)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise UnwritableFolderError(file, error) from error

    def publish(self, part: str, pages: Path) -> str:
        site = Path(self.path)
        published = site / part
        token = secrets.token_hex(4)
        # Next to the part, so that publishing only renames folders.
        new = site / f".{part}-{token}-new"
        try:
            site.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copytree(pages, new)
                # A temporary folder is its owner's alone; a web server runs as another user.
                new.chmod(site.stat().st_mode)
                _replace_folder(published, new, site / f".{part}-{token}-old")
            finally:
                shutil.rmtree(new, ignore_errors=True)
        except OSError as error:
            raise UnwritableFolderError(published, error) from error
        return (published / "index.html").as_uri()


def _replace_folder(folder: Path, new: Path, old: Path) -> None:
    """Replace `folder` by `new`; `old` is the name of the replaced one until it is deleted."""
    for _ in range(_ATTEMPTS):
        try:
            if folder.exists():
                folder.replace(old)
            new.replace(folder)
        except OSError as error:
            if old.exists() and not folder.exists():
                with suppress(OSError):
                    old.replace(folder)
            if error.errno not in _REPLACED_MEANWHILE:
                raise
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)
    raise OSError(errno.EBUSY, "other runs are publishing it", str(folder))
