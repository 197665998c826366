"""The view QUERY_ATTRIBUTION_HISTORY of SNOWFLAKE.ACCOUNT_USAGE, of the statements that were executed here.

As in the service: readable with a database role of SNOWFLAKE alone, without statements of up to 100 ms. Not as
in the service: rows appear at once, not after up to eight hours.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from snowflake.connector.errors import ProgrammingError

VIEWER = "SNOWFLAKE.USAGE_VIEWER"
COLUMNS = (
    *("query_id", "parent_query_id", "root_query_id", "warehouse_name", "query_tag", "user_name"),
    *("start_time", "end_time", "credits_attributed_compute"),
)
CREDITS_PER_HOUR = 1.0
"""Of a warehouse of the size X-Small."""
SHORTEST = 0.1
# The sample data are so small that a statement takes a hundredth of the time that it takes in the service.
SLOWER = 100
_VIEW = re.compile(r"\bsnowflake\.account_usage\.query_attribution_history\b", re.IGNORECASE)


@dataclass
class AttributedQueries:
    """The executed statements that the view shows."""

    rows: list[tuple[str, ...]] = field(default_factory=list)

    def record(self, *, warehouse: str, user: str, query_tag: str, started: float, seconds: float) -> None:
        """Record a statement that has ended; `started` in seconds since 1970."""
        charged = seconds * SLOWER
        if charged <= SHORTEST:
            return
        times = (datetime.fromtimestamp(moment, UTC) for moment in (started, started + seconds))
        self.rows.append(
            (
                *(f"query-{len(self.rows)}", "", "", warehouse, query_tag, user),
                *(f"{time:%Y-%m-%d %H:%M:%S}" for time in times),
                f"{charged * CREDITS_PER_HOUR / 3600:.9f}",
            )
        )

    def answer(self, sql: str, database_roles: set[str]) -> str | None:
        """`sql` with the view's rows in its place; None if it does not read the view.

        Raises:
            ProgrammingError: the session has none of the database roles that may.
        """
        if not _VIEW.search(sql):
            return None
        if VIEWER not in database_roles:
            raise ProgrammingError(
                msg="SQL compilation error:\nObject 'SNOWFLAKE.ACCOUNT_USAGE.QUERY_ATTRIBUTION_HISTORY' does "
                "not exist or not authorized.",
                errno=2003,
                sqlstate="42S02",
            )
        rows = self.rows or [("",) * 6 + ("2000-01-01 00:00:00",) * 2 + ("0",)]
        values = ", ".join("(" + ", ".join(_literal(value) for value in row) + ")" for row in rows)
        casts = {"start_time": "::timestamp_ntz", "end_time": "::timestamp_ntz", COLUMNS[-1]: "::number(38, 9)"}
        names = ", ".join(
            f"column{position}{casts.get(name, '')} as {name}" for position, name in enumerate(COLUMNS, start=1)
        )
        return _VIEW.sub(lambda _: f"(select {names} from values {values}) as history", sql)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
