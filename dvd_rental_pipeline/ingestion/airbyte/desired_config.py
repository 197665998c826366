"""The desired source, destination and connection, in the fields of Airbyte's public API."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.core.catalog import Domain, Privacy, Table
from dvd_rental_pipeline.core.settings import ENV_PREFIX, Settings, SettingsError
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.heartbeat import HEARTBEAT_QUERY

SECRET_FIELDS = frozenset(
    {"password", "private_key", "private_key_password", "ssh_key", "tunnel_user_password"}
)
"""Fields whose values Airbyte never returns."""

_CURSOR_COLUMN = "_ab_cdc_lsn"
# Columns that the source adds: they are selected like those of the table.
_CAPTURE_COLUMNS = (_CURSOR_COLUMN, "_ab_cdc_updated_at", "_ab_cdc_deleted_at")
_VERIFYING_SSL_MODES = {"verify-ca", "verify-full"}
_SSL_MODES = {"disable", "allow", "prefer", "require", *_VERIFYING_SSL_MODES}


@dataclass(frozen=True)
class DesiredConfig:
    """The objects that Airbyte should have. The configurations `source` and `destination` contain secrets."""

    source_name: str
    source: Mapping[str, Any]
    destination_name: str
    destination: Mapping[str, Any]
    connection: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"DesiredConfig({self.source_name!r}, {self.destination_name!r}, {self.connection['name']!r})"


def desired_config(
    settings: Settings, domain: Domain, *, slot: str, source_setting: str = "source_url"
) -> DesiredConfig:
    """The configuration for `domain`.

    Args:
        settings: credentials and addresses.
        domain: the tables to sync.
        slot: name of the replication slot and of the publication.
        source_setting: name of the setting with the URL of the source.

    Raises:
        SettingsError: settings are missing (the message lists all of them) or invalid.
    """
    settings.require(
        "Airbyte's set-up", source_setting, "airbyte_destination_host", "airbyte_destination_key_path"
    )
    return DesiredConfig(
        source_name=f"{domain.name}: PostgreSQL",
        source=_source(settings, domain, slot, source_setting),
        destination_name=f"{domain.name}: Snowflake",
        destination=_destination(settings, domain),
        connection=desired_connection(domain),
    )


def _source(settings: Settings, domain: Domain, slot: str, source_setting: str) -> dict[str, Any]:
    url = getattr(settings, source_setting).get_secret_value()
    variable = f"{ENV_PREFIX}{source_setting.upper()}"
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        # The parser's message may quote a part of the URL, including the password.
        raise SettingsError(
            f"{variable} is not valid: postgresql://user:password@host:port/database, with special characters "
            "percent-encoded."
        ) from None
    missing = [name for name in ("host", "dbname", "user", "password") if not parts.get(name)]
    if missing:
        raise SettingsError(
            f"{variable} lacks {', '.join(missing)}: Airbyte connects to the source with it, as the role "
            "that `dvd-rental source setup` creates."
        )
    return {
        "sourceType": "postgres",
        "host": parts["host"],
        "port": int(parts.get("port") or 5432),
        "database": parts["dbname"],
        "username": parts["user"],
        "password": parts["password"],
        "schemas": [domain.source_schema],
        "ssl_mode": _ssl(str(parts.get("sslmode") or "require"), parts.get("sslrootcert"), variable),
        "tunnel_method": _tunnel(settings),
        "replication_method": {
            "method": "CDC",
            "plugin": "pgoutput",
            "replication_slot": slot,
            "publication": slot,
            "initial_waiting_seconds": settings.airbyte_initial_waiting_seconds,
            "lsn_commit_behaviour": "After loading Data in the destination",
            # A lost slot means lost changes: the sync must fail until a full refresh closes the gap.
            "invalid_cdc_cursor_position_behavior": "Fail sync",
            "heartbeat_action_query": HEARTBEAT_QUERY,
        },
    }


def _ssl(mode: str, root_certificate: object, variable: str) -> dict[str, str]:
    if mode not in _SSL_MODES:
        raise SettingsError(f"{variable}: sslmode={mode} is not one of {', '.join(sorted(_SSL_MODES))}.")
    if mode not in _VERIFYING_SSL_MODES:
        return {"mode": mode}
    if not root_certificate:
        raise SettingsError(f"{variable}: sslmode={mode} needs sslrootcert=, the file of trusted certificates.")
    certificate = _read(Path(str(root_certificate)), f"sslrootcert in {variable}")
    return {"mode": mode, "ca_certificate": certificate}


def _tunnel(settings: Settings) -> dict[str, Any]:
    if settings.airbyte_ssh_tunnel is None:
        return {"tunnel_method": "NO_TUNNEL"}
    try:
        parts = urlsplit(settings.airbyte_ssh_tunnel.get_secret_value())
        port = parts.port or 22
    except ValueError:
        parts, port = urlsplit(""), 22
    if parts.scheme != "ssh" or not parts.hostname or not parts.username:
        raise SettingsError("DVD_RENTAL_AIRBYTE_SSH_TUNNEL is not valid: ssh://user@host:22.")
    tunnel = {"tunnel_host": parts.hostname, "tunnel_port": port, "tunnel_user": unquote(parts.username)}
    if settings.airbyte_ssh_key_path is not None:
        key = _read(settings.airbyte_ssh_key_path, "DVD_RENTAL_AIRBYTE_SSH_KEY_PATH")
        return {"tunnel_method": "SSH_KEY_AUTH", **tunnel, "ssh_key": key}
    if not parts.password:
        raise SettingsError(
            "DVD_RENTAL_AIRBYTE_SSH_TUNNEL needs a password, or DVD_RENTAL_AIRBYTE_SSH_KEY_PATH."
        )
    return {
        "tunnel_method": "SSH_PASSWORD_AUTH",
        **tunnel,
        "tunnel_user_password": unquote(parts.password),
    }


def _destination(settings: Settings, domain: Domain) -> dict[str, Any]:
    key_path = settings.airbyte_destination_key_path or Path()
    credentials = {
        "auth_type": "Key Pair Authentication",
        "private_key": _read(key_path, "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PATH"),
    }
    if settings.airbyte_destination_key_passphrase is not None:
        credentials["private_key_password"] = settings.airbyte_destination_key_passphrase.get_secret_value()
    return {
        "destinationType": "snowflake",
        "host": settings.airbyte_destination_host,
        "role": settings.airbyte_destination_role,
        "warehouse": settings.airbyte_destination_warehouse,
        "database": settings.airbyte_destination_database,
        "schema": domain.name.upper(),
        "username": settings.airbyte_destination_username,
        "credentials": credentials,
        # History and audit need tombstones; the staging models filter them.
        "cdc_deletion_mode": "Soft delete",
    }


def desired_connection(domain: Domain) -> dict[str, Any]:
    """The fields of the connection for `domain`, without its source and destination."""
    return {
        "name": domain.name,
        "status": "active",
        # Dagster starts the syncs.
        "schedule": {"scheduleType": "manual"},
        "namespaceDefinition": "custom_format",
        "namespaceFormat": domain.name.upper(),
        "prefix": "",
        # The check `columns_are_known` reports a new column. It is synced once the catalogue declares it.
        "nonBreakingSchemaUpdatesBehavior": "ignore",
        "configurations": {"streams": [_stream(domain, table) for table in domain.tables]},
    }


def _stream(domain: Domain, table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "namespace": domain.source_schema,
        "syncMode": "incremental_deduped_history",
        "cursorField": [_CURSOR_COLUMN],
        "primaryKey": [[column] for column in table.primary_key],
        "selectedFields": [{"fieldPath": [name]} for name in (*loaded_columns(table), *_CAPTURE_COLUMNS)],
    }


def loaded_columns(table: Table) -> tuple[str, ...]:
    """The columns of `table` that Airbyte loads: all but secret ones, which never reach the warehouse."""
    return tuple(column.name for column in table.columns if column.privacy is not Privacy.SECRET)


def _read(path: Path, setting: str) -> str:
    try:
        return path.expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise SettingsError(f"{setting}: {path} cannot be read: {reason}.") from None
