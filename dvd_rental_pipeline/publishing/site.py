"""The role of the site: where pages for people are published."""

import secrets
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

import dagster as dg

from dvd_rental_pipeline.core.errors import UnwritableFolderError


class Site(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Static pages, in parts that are published whole."""

    @abstractmethod
    def publish(self, part: str, pages: Path) -> str:
        """Replace `part` of the site by the files in the folder `pages`, and return the address of its index.

        Raises:
            PipelineError: the site cannot be written; the part is as it was.
        """

    @abstractmethod
    def has(self, part: str) -> bool:
        """Whether `part` has been published."""


class FolderSite(Site):
    """A folder that a browser opens, or a web server serves."""

    path: str

    def has(self, part: str) -> bool:
        return (Path(self.path) / part / "index.html").is_file()

    def publish(self, part: str, pages: Path) -> str:
        site = Path(self.path)
        published = site / part
        token = secrets.token_hex(4)
        # Beside the part, so that only names change when it is complete.
        coming, going = site / f".{part}-{token}-new", site / f".{part}-{token}-old"
        try:
            site.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copytree(pages, coming)
                if published.exists():
                    published.replace(going)
                coming.replace(published)
            except OSError:
                if going.exists() and not published.exists():
                    going.replace(published)
                raise
            finally:
                shutil.rmtree(coming, ignore_errors=True)
                shutil.rmtree(going, ignore_errors=True)
        except OSError as error:
            raise UnwritableFolderError(published, error) from error
        return (published / "index.html").as_uri()
