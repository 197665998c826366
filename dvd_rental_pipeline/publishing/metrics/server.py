"""Serves a registry of metrics over HTTP."""

import socket
import socketserver
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from dvd_rental_pipeline.core.http_server import REQUEST_SECONDS, QuietServer


class MetricsHandler(WSGIRequestHandler):
    """A request, which is not logged."""

    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing: Prometheus asks all the time."""


def metrics_server(registry: CollectorRegistry, host: str, port: int) -> WSGIServer:
    """A server of `registry` at `host`, an address or a name; `serve_forever` serves until interrupted.

    Raises:
        OSError: the address is in use, or is not one of this machine.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = addresses[0]

    class Server(QuietServer, socketserver.ThreadingMixIn, WSGIServer):
        address_family = family
        daemon_threads = True

    return make_server(str(address[0]), port, make_wsgi_app(registry), Server, MetricsHandler)
