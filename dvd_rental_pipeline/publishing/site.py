"""The site resource: where pages are published."""

import secrets
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

import dagster as dg

from dvd_rental_pipeline.core.errors import UnwritableFolderError


class Site(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Static pages, in parts that are replaced as a whole."""

    @abstractmethod
    def publish(self, part: str, pages: Path) -> str:
        """Replace `part` of the site with the files in `pages`; returns the address of its index page.

        Raises:
            PipelineError: the site cannot be written; the part is unchanged.
        """

    @abstractmethod
    def has(self, part: str) -> bool:
        """Whether `part` has been published."""


class FolderSite(Site):
    """A local folder, opened in a browser or served by a web server."""

    path: str

    def has(self, part: str) -> bool:
        return (Path(self.path) / part / "index.html").is_file()

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
