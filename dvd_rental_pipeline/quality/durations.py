"""Times and durations as checks read and print them."""

from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


def parse_time(text: str) -> datetime:
    """A time with its zone as a source or a warehouse prints it, in UTC where it has none.

    ISO 8601 with `Z`; DuckDB's `+00`; Snowflake's ` +0000` or ` Z`.
    """
    moment = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_duration(duration: timedelta) -> str:
    """A duration such as `1 h 5 min`, `12 min` or `3 s`."""
    seconds = max(0, round(duration.total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
