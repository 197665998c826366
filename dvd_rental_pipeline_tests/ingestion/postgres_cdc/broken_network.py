"""A TCP proxy in front of the source that closes all connections after a number of response bytes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_RESET = struct.pack("ii", 1, 0)


class _Proxy:
    """Forwards connections to the source; all are closed at once after `left` bytes of responses."""

    def __init__(self, host: str, port: int, left: int) -> None:
        self._source = (host, port)
        self._left = left
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_broken(self) -> bool:
        return self._left < 0

    def close(self) -> None:
        """Reset every connection, and accept no more."""
        self._listener.close()
        with self._lock:
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._source)
                with self._lock:
                    self._sockets += [near, far]
                for args in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._forward, args=args, daemon=True).start()

    def _forward(self, origin: socket.socket, to: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := origin.recv(65536):
                if counted:
                    self._left -= len(data)
                    if self._left < 0:
                        break
                to.sendall(data)
            if self._left < 0:
                self.close()
            else:
                to.shutdown(socket.SHUT_WR)


@contextmanager
def breaking_after(url: str, response_bytes: int) -> Iterator[tuple[str, _Proxy]]:
    """A URL of the same source whose connections break after `response_bytes`, and the proxy behind it."""
    given = conninfo_to_dict(url)
    proxy = _Proxy(str(given["host"]), int(str(given["port"])), response_bytes)
    try:
        yield make_conninfo(url, port=proxy.port), proxy
    finally:
        proxy.close()
