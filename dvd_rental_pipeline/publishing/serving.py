"""Serves the folder of the site to browsers on this machine, read-only."""

import http.server
from http import HTTPStatus
from pathlib import Path
from typing import Any

from dvd_rental_pipeline.core.http_server import REQUEST_SECONDS, QuietServer

LOOPBACK = "127.0.0.1"
_NAMES = {LOOPBACK, "localhost"}


class SiteHandler(http.server.SimpleHTTPRequestHandler):
    """GET and HEAD of files within the folder. Folders have an index page or are not found."""

    timeout = REQUEST_SECONDS

    extensions_map = {  # noqa: RUF012 - as the base class declares it
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".csv": "text/csv; charset=utf-8",
        ".parquet": "application/vnd.apache.parquet",
    }

    def send_head(self) -> Any:
        host = self.headers.get("Host", "").rpartition(":")[0]
        # Another name for this address is a page of another site that reads this one (DNS rebinding).
        if host not in _NAMES:
            self.send_error(HTTPStatus.FORBIDDEN, "Open the site at its own address")
            return None
        if not self._is_within_folder():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _is_within_folder(self) -> bool:
        """Whether the requested file is, once links are followed."""
        try:
            return Path(self.translate_path(self.path)).resolve().is_relative_to(Path(self.directory).resolve())
        except (OSError, ValueError):
            # A name that is too long, or has a null character.
            return False

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing: requests of the only user are of no interest."""


class SiteServer(QuietServer, http.server.ThreadingHTTPServer):
    """A thread per connection."""


def site_server(folder: Path, port: int) -> SiteServer:
    """A server of `folder` at 127.0.0.1; port 0 chooses a free one. `serve_forever` serves until interrupted.

    Raises:
        OSError: the port is in use.
    """

    def handler(*args: Any, **kwargs: Any) -> SiteHandler:
        return SiteHandler(*args, directory=str(folder), **kwargs)

    return SiteServer((LOOPBACK, port), handler)
