"""Text forms shared by all phases: LSNs, timestamps, SQL identifiers and string literals."""

from datetime import UTC, datetime


def parse_lsn(text: str) -> int:
    """The number of WAL bytes before an LSN in PostgreSQL's `X/Y` form."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(lsn: int) -> str:
    """An LSN in PostgreSQL's `X/Y` form."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def iso_timestamp(moment: datetime) -> str:
    """A timestamp as Airbyte writes it: ISO 8601 in UTC, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def quoted(*names: str) -> str:
    """A quoted SQL identifier for PostgreSQL and DuckDB; several names are joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """An SQL string literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
