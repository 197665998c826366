"""The site resource: where pages are published."""

import secrets
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

import dagster as dg
from filelock import FileLock

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError


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
        new, old = site / f".{part}-{token}-new", site / f".{part}-{token}-old"
        try:
            site.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copytree(pages, new)
                # A temporary folder is its owner's alone; a web server runs as another user.
                new.chmod(site.stat().st_mode)
                # Two syncs may publish the check report at once.
                with FileLock(site / ".publishing.lock"):
                    if published.exists():
                        published.replace(old)
                    new.replace(published)
            except OSError:
                if old.exists() and not published.exists():
                    old.replace(published)
                raise
            finally:
                shutil.rmtree(new, ignore_errors=True)
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise UnwritableFolderError(published, error) from error
        return (published / "index.html").as_uri()
