"""What the pipeline's own user sees of the account: is there what a run needs?"""

from collections.abc import Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_account.design import GOVERNANCE, LAYERS, POLICY, RAW
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession


@dataclass(frozen=True)
class Seen:
    """Who the session is, and what it does not see of what the pipeline needs."""

    user: str
    role: str
    warehouse: str
    missing_schemas: Sequence[str]
    has_policy: bool


def examine_account(session: SnowflakeSession, database: str) -> Seen:
    """Look, without changing anything.

    Raises:
        WarehouseError: Snowflake does not answer.
    """
    ((user, role, warehouse),) = session.execute(
        "select current_user(), current_role(), current_warehouse()"
    ).values
    shown = _names(session, f"show schemas in database {database}")
    policies = _names(session, f"show masking policies in database {database}")
    return Seen(
        user=str(user),
        role=str(role),
        warehouse=str(warehouse or "none"),
        missing_schemas=[schema for schema in (RAW, *LAYERS, GOVERNANCE) if schema not in shown],
        has_policy=POLICY in policies,
    )


def _names(session: SnowflakeSession, statement: str) -> set[str]:
    """What SHOW shows; nothing when the database itself is not there, or not for this role."""
    try:
        return {str(row["name"]).upper() for row in session.execute(statement).records()}
    except WarehouseError as error:
        if "does not exist or not authorized" in str(error):
            return set()
        raise
