"""Snowflake for tests: starts the server, with keys and address, and injects faults."""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline.warehouse.snowflake_account.difference import apply
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake
from dvd_rental_pipeline_tests.forked_programs import ForkedProgram, fork_server

ACCOUNT = "dvdrental-standin"
USERS = ("LOADER", "TRANSFORMER", "REPORTER", "ADMIN")


@dataclass
class SnowflakeStandIn:
    """A server in a process of its own while the context lasts.

    Args:
        folder: for its keys, databases and log.
        users: all log in with the key in `private_key_path`.
        persistent: whether the databases survive `stop` and `start`.
        port: 0 means a free one.
    """

    folder: Path
    users: Sequence[str] = USERS
    persistent: bool = False
    port: int = 0
    _process: ForkedProgram | None = field(default=None, repr=False)
    _key: rsa.RSAPrivateKey | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = new_private_key(self.private_key_path)
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._public_keys_path.write_text(json.dumps({user: public.decode() for user in self.users}))
        self.port = self.port or _free_port()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it did not start; the message contains its log.
        """
        arguments = [str(self.port), str(self._public_keys_path)]
        if self.persistent:
            databases = self.folder / "databases"
            databases.mkdir(exist_ok=True)
            arguments.append(str(databases))
        # fakesnow never removes the temporary folder with the files of stages.
        stages = self.folder / "stages"
        stages.mkdir(exist_ok=True)
        with self._log_path.open("ab") as log:
            environment = {**os.environ, "TMPDIR": str(stages)}
            self._process = fork_server().start("snowflake-stand-in", arguments, environment, log, log)
        deadline = time.monotonic() + 60
        while not self._process.has_ended() and time.monotonic() < deadline:
            try:
                self.statements()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"the Snowflake stand-in did not start:\n{self._log_path.read_text()}")

    def stop(self) -> None:
        """Kill the server: further connections are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def private_key_path(self) -> Path:
        return self.folder / "key.pem"

    @property
    def _public_keys_path(self) -> Path:
        return self.folder / "public_keys.json"

    @property
    def _log_path(self) -> Path:
        return self.folder / "server.log"

    def write_key(self, path: Path, passphrase: str | None = None) -> None:
        """Write a copy of the private key of the users to `path`."""
        key = serialization.load_pem_private_key(self.private_key_path.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        write_private_key(key, path, passphrase)

    def environment(self, user: str = "TRANSFORMER") -> dict[str, str]:
        """The settings with which the pipeline uses this server."""
        return {
            "DVD_RENTAL_SNOWFLAKE_ACCOUNT": ACCOUNT,
            "DVD_RENTAL_SNOWFLAKE_USER": user,
            "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": str(self.private_key_path),
            "DVD_RENTAL_SNOWFLAKE_HOST": "127.0.0.1",
            "DVD_RENTAL_SNOWFLAKE_PORT": str(self.port),
            "DVD_RENTAL_SNOWFLAKE_PROTOCOL": "http",
        }

    def connect(self, user: str = "ADMIN", **more: Any) -> snowflake.connector.SnowflakeConnection:
        """A session of the real connector."""
        arguments = {
            "account": ACCOUNT,
            "user": user,
            # Not the file, which the connector would load and check each time.
            **({} if "private_key_file" in more else {"private_key": self._key}),
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            "database": "DVD_RENTALS",
            "network_timeout": 30,
            "login_timeout": 30,
        }
        return snowflake.connector.connect(**{**arguments, **more})

    def query(self, sql: str, params: Sequence[Any] | None = None) -> list[Any]:
        """Run one statement and fetch its rows."""
        with self.connect() as connection, connection.cursor() as cursor:
            return list(cursor.execute(sql, params).fetchall())

    def statements(self) -> list[dict[str, Any]]:
        """All statements so far: `sql`, and `user`, `role`, `warehouse` and `query_tag` of the session."""
        statements: list[dict[str, Any]] = json.loads(self._control("GET", "statements"))
        return statements

    def spend(self, monitor: str, used: int) -> None:
        """Set the credits of this month that the warehouses of a resource monitor have used."""
        self._control("POST", "spending", {monitor: used})

    def fail(self, requests: int, status: int = 500, path: str = "/") -> None:
        """Answer the next requests with an HTTP status."""
        self._set_fault(path=path, requests=requests, status=status)

    def delay(self, seconds: float, requests: int, path: str = "/") -> None:
        """Delay the responses of the next requests."""
        self._set_fault(path=path, requests=requests, seconds=seconds)

    def drop(self, requests: int, path: str = "/") -> None:
        """Close the connection of the next requests."""
        self._set_fault(path=path, requests=requests, status=0)

    def clear_faults(self) -> None:
        """Remove the faults that have not occurred yet."""
        self._control("DELETE", "faults")

    def _set_fault(self, **fault: Any) -> None:
        self._control("POST", "faults", fault)

    def _control(self, method: str, route: str, body: Mapping[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/stand-in/{route}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the URL is ours
            content: bytes = response.read()
            return content


def set_up(
    server: SnowflakeStandIn,
    raw_schemas: Sequence[str] = ("dvd_rental",),
    loaded_schemas: Sequence[str] = (),
) -> None:
    """Set up the empty account as `dvd-rental snowflake apply` does."""
    login = SnowflakeLogin(
        account=ACCOUNT,
        user="ADMIN",
        key=server.private_key_path,
        role="ACCOUNTADMIN",
        database=None,
        host="127.0.0.1",
        port=server.port,
        protocol="http",
    )
    with open_snowflake(login, {}) as session:
        apply(Account(list(raw_schemas), loaded_schemas=list(loaded_schemas)), session, lambda _: None)


def new_private_key(path: Path, passphrase: str | None = None) -> rsa.RSAPrivateKey:
    """Write a new private key to `path`, as PKCS #8 in PEM, encrypted if there is a passphrase."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private_key(key, path, passphrase)
    return key


def write_private_key(key: rsa.RSAPrivateKey, path: Path, passphrase: str | None) -> None:
    """Write `key` to `path`, as PKCS #8 in PEM, encrypted if there is a passphrase."""
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption(),
        )
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
