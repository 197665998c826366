"""Asking Snowflake: login by key pair, one statement at a time, within bounded time, and errors in plain words.

The connector is imported on first use, as that takes seconds.
"""

import base64
import binascii
import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlglot
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.warehouse.duckdb_file import Rows, WarehouseError, WarehouseUnavailableError

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.errors import Error

READING = (exp.Query, exp.Describe, exp.Show)
WRITING = (exp.DML, exp.DDL, exp.Into, exp.Command, exp.Drop, exp.Alter, exp.Use, exp.Set)
# What the server says when it does not let somebody in, as numbers.
KEY_REFUSED = ("390144", "390100", "394304")
LOCKED_OUT = ("390422", "390432")


@dataclass(frozen=True)
class SnowflakeLogin:
    """Who asks, and where. Neither the key nor its passphrase shows in the repr.

    `key` is the private key as PEM or base64 of DER, or a file of PEM; timeouts are in seconds.
    """

    account: str
    user: str
    key: str | Path = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    role: str = "TRANSFORMER"
    warehouse: str = "TRANSFORMING"
    database: str | None = "DVD_RENTALS"
    host: str | None = None
    port: int = 443
    protocol: str = "https"
    login_timeout: int = 60
    statement_timeout: int = 1800

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The login that `settings` describe.

        Raises:
            SettingsError: some setting is missing.
        """
        settings.require_snowflake()
        secret, passphrase = settings.snowflake_private_key, settings.snowflake_private_key_passphrase
        return cls(
            account=str(settings.snowflake_account),
            user=str(settings.snowflake_user),
            key=secret.get_secret_value() if secret else Path(str(settings.snowflake_private_key_path)),
            passphrase=passphrase.get_secret_value() if passphrase else None,
            role=settings.snowflake_role,
            warehouse=settings.snowflake_warehouse,
            database=settings.snowflake_database,
            host=settings.snowflake_host,
            port=settings.snowflake_port,
            protocol=settings.snowflake_protocol,
            login_timeout=settings.snowflake_login_timeout,
            statement_timeout=settings.snowflake_statement_timeout,
        )

    @property
    def address(self) -> str:
        """Where requests go."""
        return self.host or f"{self.account}.snowflakecomputing.com"


def query_snowflake(login: SnowflakeLogin, sql: str, tags: Mapping[str, str]) -> Rows:
    """Answer one statement that reads; column names are in lower case, as DuckDB has them.

    Raises:
        WarehouseError: the statement would write or fails, or Snowflake cannot be reached.
        SettingsError: the private key cannot be read.
    """
    refuse_writing(sql)
    with open_snowflake(login, tags) as session:
        return session.execute(sql)


class SnowflakeSession:
    """An open session."""

    def __init__(self, login: SnowflakeLogin, connection: "SnowflakeConnection") -> None:
        self._login = login
        self._connection = connection

    def execute(self, sql: str) -> Rows:
        """Run one statement.

        Raises:
            WarehouseError: it fails, or Snowflake no longer answers.
        """
        from snowflake.connector.errors import Error  # noqa: PLC0415

        started = time.monotonic()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                columns = [_shown(column.name) for column in cursor.description or []]
                return Rows(columns, [tuple(row) for row in cursor.fetchall()])
        except Error as error:
            raise _translate_errors(error, self._login, time.monotonic() - started) from None


@contextmanager
def open_snowflake(login: SnowflakeLogin, tags: Mapping[str, str]) -> Iterator[SnowflakeSession]:
    """A session whose statements bear `tags`, as JSON, in Snowflake's query history.

    Raises:
        WarehouseError: Snowflake cannot be reached, or refuses the user.
        SettingsError: the private key cannot be read.
    """
    key = read_private_key(login.key, login.passphrase)
    with warnings.catch_warnings():
        # The connector's own copy of `requests` complains of packages beside it that it does not use.
        warnings.simplefilter("ignore")
        import snowflake.connector  # noqa: PLC0415
        from snowflake.connector.errors import Error  # noqa: PLC0415

    given: dict[str, Any] = {} if login.host is None else {"host": login.host}
    started = time.monotonic()
    try:
        connection = snowflake.connector.connect(
            account=login.account,
            user=login.user,
            private_key=key,
            role=login.role,
            warehouse=login.warehouse,
            database=login.database,
            port=login.port,
            protocol=login.protocol,
            login_timeout=login.login_timeout,
            network_timeout=login.statement_timeout,
            # How long one answer may take to come; the server answers a long statement every 45 seconds.
            socket_timeout=min(2 * login.statement_timeout, 120),
            application="dvd_rental",
            session_parameters={
                "QUERY_TAG": query_tag(tags),
                "TIMEZONE": "UTC",
                "CLIENT_TELEMETRY_ENABLED": False,
            },
            # Otherwise it looks for a cloud around it, over the network.
            platform_detection_timeout_seconds=0.0,
            **given,
        )
    except Error as error:
        raise _translate_errors(error, login, time.monotonic() - started) from None
    _quieten_cancelling(connection)
    try:
        yield SnowflakeSession(login, connection)
    finally:
        connection.close(retry=False)


def _quieten_cancelling(connection: "SnowflakeConnection") -> None:
    """The connector cancels what takes too long in a thread, whose failure would be a traceback."""
    cancel = getattr(connection, "_cancel_query", None)

    def cancel_quietly(*args: Any) -> Any:
        with suppress(Exception):
            return cancel(*args) if cancel else None

    vars(connection)["_cancel_query"] = cancel_quietly


def query_tag(tags: Mapping[str, str]) -> str:
    """The tag of a session: JSON, to be read with `parse_json(query_tag)`."""
    return json.dumps({"app": "dvd_rental", **tags})


def refuse_writing(sql: str) -> None:
    """Let one statement pass that reads: SELECT, WITH, SHOW or DESCRIBE.

    Raises:
        WarehouseError: it is anything else, or it cannot be told.
    """
    try:
        statements = [each for each in sqlglot.parse(sql, dialect="snowflake") if each is not None]
        chained = any(token.text == "->>" for token in sqlglot.tokenize(sql, dialect="snowflake"))
    except SqlglotError as error:
        raise WarehouseError(f"The warehouse refused the statement: it cannot be read.\n{error}") from None
    if len(statements) != 1 or chained:
        raise WarehouseError("The warehouse refused the statement: give one statement at a time.")
    (statement,) = statements
    # SHOW has more forms than the parser knows; the word alone tells that it reads.
    if isinstance(statement, exp.Command) and str(statement.this).upper() == "SHOW":
        return
    reads = isinstance(statement, READING) and not isinstance(statement, exp.DML)
    if reads and (found := next(statement.find_all(*WRITING), None)) is not None:
        reads = isinstance(found, exp.Query) and not isinstance(found, exp.Into)
    acts = any(_acts(call) for call in statement.find_all(exp.Func))
    if not reads or acts:
        raise WarehouseError(
            "The warehouse refused the statement: only one that reads is taken, SELECT, WITH, SHOW or DESCRIBE."
        )


def _acts(call: exp.Func) -> bool:
    """Whether a function is of those that do something: cancel queries, end sessions."""
    name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
    return name.upper().startswith("SYSTEM$")


def read_private_key(key: str | Path, passphrase: str | None) -> bytes:
    """The private key as the connector takes it: DER, PKCS 8, not encrypted.

    Raises:
        SettingsError: there is no such file, it holds no key, or the passphrase is missing or wrong.
    """
    if isinstance(key, Path):
        variable, place = "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH", str(key)
        try:
            content = key.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"Cannot read the private key {place}: {error.strerror}. Mend {variable}."
            ) from None
    else:
        variable, place = "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY", "the value given"
        content = key.strip().encode()
    secret = passphrase.encode() if passphrase else None
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            loaded = serialization.load_pem_private_key(content, secret)
        else:
            loaded = serialization.load_der_private_key(base64.b64decode(content, validate=True), secret)
    except TypeError:
        told = "it needs a passphrase" if secret is None else "it has no passphrase"
        raise SettingsError(
            f"Cannot open the private key of {variable}: {told}. "
            "Mend DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from None
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        raise SettingsError(
            f"Cannot open the private key of {variable}: {place} is no key in PEM or base64 of DER, or the "
            "passphrase in DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is wrong."
        ) from None
    return loaded.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _shown(column: str) -> str:
    """The name as it was written, most likely: Snowflake tells those without quotes in upper case."""
    return column.lower() if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", column) else column


def _translate_errors(error: "Error", login: SnowflakeLogin, seconds: float) -> WarehouseError:
    """What went wrong, what that means, and what to do. The connector's words never hold the key."""
    from snowflake.connector.errors import ProgrammingError  # noqa: PLC0415

    told = str(error.msg or error).strip()
    number = str(error.errno or "")
    place = f"Snowflake at {login.address}"
    if number in KEY_REFUSED or "JWT" in told:
        return WarehouseUnavailableError(
            f"{place} does not accept the key of the user {login.user} (390144: JWT token is invalid). "
            f"Compare RSA_PUBLIC_KEY_FP in `describe user {login.user}` with the key's fingerprint, and check "
            "DVD_RENTAL_SNOWFLAKE_ACCOUNT."
        )
    if number in LOCKED_OUT or "IP address" in told or "not allowed to access" in told:
        return WarehouseUnavailableError(
            f"{place} does not let this machine in: {told}. Add its address to the account's network policy."
        )
    if "cancelled by the client due to a timeout" in told:
        return WarehouseError(
            f"The statement took longer than {login.statement_timeout} s and was cancelled. "
            "DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT sets the limit."
        )
    if isinstance(error, ProgrammingError):
        return WarehouseError(f"The warehouse refused the statement: {told}")
    if re.search(r"\b404\b", told):
        return WarehouseUnavailableError(
            f"{place} knows no account {login.account}: mend DVD_RENTAL_SNOWFLAKE_ACCOUNT."
        )
    return WarehouseUnavailableError(
        f"{place} did not answer as it should for {seconds:.0f} s: {told}. Look at "
        "https://status.snowflake.com and at the network between, then start again; nothing is half done."
    )
