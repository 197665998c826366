"""Sessions with Snowflake: one statement at a time, in bounded time, with errors that say what to do.

The connector is imported on first use: that takes seconds.
"""

import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.warehouse.errors import WarehouseError, WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.interface import Rows
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin, read_private_key

if TYPE_CHECKING:
    import pyarrow as pa
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.errors import Error

# Error numbers of a login that is denied: by its key, by the network policy.
KEY_REJECTED = ("390144", "390100", "394304")
ADDRESS_REJECTED = ("390422", "390432")
ROLE_REJECTED = ("390186", "390189")
# Error numbers of a statement that no virtual warehouse can compute.
NO_WAREHOUSE = "606"
WAREHOUSE_SUSPENDED = "90073"


class SnowflakeSession:
    """An open session."""

    def __init__(self, login: SnowflakeLogin, connection: "SnowflakeConnection") -> None:
        self._login = login
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; unquoted column names are in lower case, as in DuckDB.

        Raises:
            WarehouseError: it fails, or Snowflake no longer responds.
        """
        from snowflake.connector.errors import Error  # noqa: PLC0415 - see the module's docstring

        started = time.monotonic()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, list(parameters) or None)
                columns = [unquoted(column.name) for column in cursor.description or []]
                return Rows(columns, [tuple(row) for row in cursor.fetchall()])
        except Error as error:
            raise _translate_error(error, self._login, time.monotonic() - started) from None

    def export(self, sql: str, file: Path) -> int:
        """Write the result of a query as a Parquet file, chunk by chunk; returns the number of its rows.

        Raises:
            WarehouseError: it fails, or Snowflake no longer responds.
        """
        import pyarrow as pa  # noqa: PLC0415 - only exports need it
        import pyarrow.parquet as pq  # noqa: PLC0415 - only exports need it
        from snowflake.connector.errors import Error  # noqa: PLC0415 - see the module's docstring

        started = time.monotonic()
        rows, writer = 0, None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                for batch in cursor.get_result_batches() or []:
                    # The first one has the columns, even without rows.
                    if writer is not None and batch.rowcount == 0:
                        continue
                    # A query's batches are Arrow ones, whose method has these parameters.
                    chunk = batch.to_arrow(self._connection, force_microsecond_precision=True)  # type: ignore[call-arg]
                    table = chunk.rename_columns([unquoted(name) for name in chunk.column_names])
                    # Each chunk has the narrowest types that its values fit into.
                    if writer is None:
                        schema = pa.schema([pa.field(each.name, _widest(each.type)) for each in table.schema])
                        writer = pq.ParquetWriter(file, schema)
                    writer.write_table(table.cast(writer.schema))
                    rows += table.num_rows
        except Error as error:
            raise _translate_error(error, self._login, time.monotonic() - started) from None
        finally:
            if writer is not None:
                writer.close()
        return rows


def _widest(kind: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415 - only exports need it

    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.decimal128(38, kind.scale) if pa.types.is_decimal(kind) else kind


@contextmanager
def open_snowflake(login: SnowflakeLogin, tags: Mapping[str, str]) -> Iterator[SnowflakeSession]:
    """A session whose statements have `tags`, as JSON, in Snowflake's query history.

    Raises:
        WarehouseError: Snowflake cannot be reached, or denies access to the user.
        SettingsError: the private key cannot be read.
    """
    key = read_private_key(login.key, login.passphrase)
    with warnings.catch_warnings():
        # The connector's own copy of `requests` warns of packages that it does not use.
        warnings.simplefilter("ignore")
        import snowflake.connector  # noqa: PLC0415 - see the module's docstring
        from snowflake.connector.errors import Error  # noqa: PLC0415 - see the module's docstring

    host: dict[str, Any] = {} if login.host is None else {"host": login.host}
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
            # Limit of one response; the server responds to a long statement every 45 seconds.
            socket_timeout=min(2 * login.statement_timeout, 120),
            application="dvd_rental",
            # Parameters are bound by the server, at `?`.
            paramstyle="qmark",
            # Exact numbers in results that are read as Arrow.
            arrow_number_to_decimal=True,
            session_parameters={
                "QUERY_TAG": query_tag(tags),
                "TIMEZONE": "UTC",
                "CLIENT_TELEMETRY_ENABLED": False,
            },
            # Otherwise it looks for a cloud platform around it, over the network.
            platform_detection_timeout_seconds=0.0,
            **host,
        )
    except Error as error:
        raise _translate_error(error, login, time.monotonic() - started) from None
    _silence_cancel_errors(connection)
    try:
        yield SnowflakeSession(login, connection)
    finally:
        connection.close(retry=False)


def query_tag(tags: Mapping[str, str]) -> str:
    """The tag of a session: JSON, to be read with `parse_json(query_tag)`."""
    return json.dumps({"app": "dvd_rental", **tags})


def unquoted(name: str) -> str:
    """The name as it was most likely written: Snowflake stores unquoted names in upper case."""
    return name.lower() if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name) else name


def _silence_cancel_errors(connection: "SnowflakeConnection") -> None:
    """The connector cancels a statement that takes too long in a thread, where an error prints a traceback."""
    cancel = getattr(connection, "_cancel_query", None)

    def cancel_silently(*args: Any) -> Any:
        with suppress(Exception):
            return cancel(*args) if cancel else None

    vars(connection)["_cancel_query"] = cancel_silently


def _translate_error(error: "Error", login: SnowflakeLogin, seconds: float) -> WarehouseError:
    """The error as a message with cause and remedy. The connector's messages never contain the key."""
    from snowflake.connector.errors import ProgrammingError  # noqa: PLC0415 - see the module's docstring

    message = str(error.msg or error).strip()
    number = str(error.errno or "")
    server = f"Snowflake at {login.address}"
    if (rejected := _explain_rejection(number, message, login)) is not None:
        return WarehouseUnavailableError(rejected)
    if "cancelled by the client due to a timeout" in message:
        return WarehouseError(
            f"The statement took longer than {login.statement_timeout} s and was cancelled. "
            "DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT sets the limit."
        )
    if isinstance(error, ProgrammingError):
        return WarehouseError(f"The warehouse rejected the statement: {message}")
    if re.search(r"\b404\b", message):
        return WarehouseUnavailableError(
            f"{server} has no account {login.account}: fix DVD_RENTAL_SNOWFLAKE_ACCOUNT."
        )
    return WarehouseUnavailableError(
        f"{server} did not respond correctly for {seconds:.0f} s: {message}. Check "
        "https://status.snowflake.com and the network, then start again; no statement was partly executed."
    )


def _explain_rejection(number: str, message: str, login: SnowflakeLogin) -> str | None:
    """Why a login or a virtual warehouse is denied, and the remedy; None for another error."""
    server = f"Snowflake at {login.address}"
    if number in KEY_REJECTED or "JWT" in message:
        return (
            f"{server} does not accept the key of the user {login.user} (390144: JWT token is invalid). "
            f"Compare RSA_PUBLIC_KEY_FP in `describe user {login.user}` with the key's fingerprint, and check "
            "DVD_RENTAL_SNOWFLAKE_ACCOUNT."
        )
    if number in ADDRESS_REJECTED or "IP address" in message or "not allowed to access" in message:
        return (
            f"{server} denies access to this machine: {message}. Add its address to the network policy of "
            "the account."
        )
    if number in ROLE_REJECTED:
        return (
            f"{server} does not let the user {login.user} log in with the role {login.role}: set "
            "DVD_RENTAL_SNOWFLAKE_ROLE to a role of this user, or grant it: `dvd-rental snowflake apply`."
        )
    if number == WAREHOUSE_SUSPENDED:
        return (
            f"{message} Raise its limit with `dvd-rental snowflake apply --credits {login.warehouse}=N`, or "
            "wait for the next month."
        )
    if number == NO_WAREHOUSE:
        return (
            f"The virtual warehouse {login.warehouse} does not exist, or the role {login.role} may not use it: "
            "fix DVD_RENTAL_SNOWFLAKE_WAREHOUSE, or create it with `dvd-rental snowflake apply`."
        )
    return None
