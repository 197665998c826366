"""What the HTTP servers of the package share: clients that stay silent or leave do not disturb them."""

import socketserver
import sys
from typing import Any

REQUEST_SECONDS = 30.0
"""How long a connection may be silent: the `timeout` of each server's request handler."""


class QuietServer(socketserver.BaseServer):
    """A mixin that ends connections of clients that left or stayed silent, without a traceback."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
