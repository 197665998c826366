"""Snowflake for a test: starts the server, knows its keys and its address, and asks it for faults."""

import json
import os
import socket
import subprocess
import sys
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

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline.warehouse.snowflake_account.difference import apply
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeLogin, open_snowflake

ACCOUNT = "dvdrental-standin"
USERS = ("LOADER", "TRANSFORMER", "REPORTER", "ADMIN")


@dataclass
class SnowflakeStandIn:
    """A server of its own process while the context lasts; `folder` holds its keys and its log.

    All `users` log in with the one key in `private_key_path`. With `persistent`, `restart` keeps the databases.
    """

    folder: Path
    users: Sequence[str] = USERS
    persistent: bool = False
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        key = new_private_key(self.private_key_path)
        public = key.public_key().public_bytes(
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
            RuntimeError: it did not; its log is in the message.
        """
        command = [
            *(sys.executable, "-m", "dvd_rental_pipeline_tests.stand_ins.snowflake.application"),
            *(str(self.port), str(self._public_keys_path)),
        ]
        if self.persistent:
            databases = self.folder / "databases"
            databases.mkdir(exist_ok=True)
            command.append(str(databases))
        # fakesnow keeps what is put into stages in a temporary folder that it never removes.
        stages = self.folder / "stages"
        stages.mkdir(exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT_ROOT,
                env={**os.environ, "TMPDIR": str(stages)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.statements()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"the Snowflake stand-in did not start:\n{self._log_path.read_text()}")

    def stop(self) -> None:
        """Kill the server: whoever asks it is refused."""
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
        """Write the users' private key to `path` once more."""
        key = serialization.load_pem_private_key(self.private_key_path.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        write_private_key(key, path, passphrase)

    def environment(self, user: str = "TRANSFORMER") -> dict[str, str]:
        """The settings with which the pipeline finds this server."""
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
        given = {
            "account": ACCOUNT,
            "user": user,
            "private_key_file": str(self.private_key_path),
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            "database": "DVD_RENTALS",
            "network_timeout": 30,
            "login_timeout": 30,
        }
        return snowflake.connector.connect(**{**given, **more})

    def query(self, sql: str, params: Sequence[Any] | None = None) -> list[Any]:
        """Run one statement and fetch its answer."""
        with self.connect() as connection, connection.cursor() as cursor:
            return list(cursor.execute(sql, params).fetchall())

    def statements(self) -> list[dict[str, Any]]:
        """All statements so far: `sql`, and `user`, `role`, `warehouse` and `query_tag` of the session."""
        told: list[dict[str, Any]] = json.loads(self._ask("GET", "statements"))
        return told

    def fail(self, requests: int, status: int = 500, path: str = "/") -> None:
        """Answer the next requests with an HTTP status."""
        self._set_fault(path=path, requests=requests, status=status)

    def delay(self, seconds: float, requests: int, path: str = "/") -> None:
        """Answer the next requests late."""
        self._set_fault(path=path, requests=requests, seconds=seconds)

    def drop(self, requests: int, path: str = "/") -> None:
        """Break the connection of the next requests."""
        self._set_fault(path=path, requests=requests, status=0)

    def heal(self) -> None:
        """Forget the faults that are left."""
        self._ask("DELETE", "faults")

    def _set_fault(self, **fault: Any) -> None:
        self._ask("POST", "faults", fault)

    def _ask(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/stand-in/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content


def set_up(server: SnowflakeStandIn) -> None:
    """Make of the empty account what `dvd-rental snowflake apply` makes of it."""
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
        apply(Account(), session, lambda _: None)


def new_private_key(path: Path, passphrase: str | None = None) -> rsa.RSAPrivateKey:
    """Write a new key to `path`, as PKCS 8 in PEM, encrypted if there is a passphrase."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private_key(key, path, passphrase)
    return key


def write_private_key(key: rsa.RSAPrivateKey, path: Path, passphrase: str | None) -> None:
    """Write `key` to `path`, as PKCS 8 in PEM."""
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
