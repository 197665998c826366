"""What the pipeline's user can access in the account, compared with what a run needs."""

from collections.abc import Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_account.design import GOVERNANCE, LAYERS, POLICY
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession


@dataclass(frozen=True)
class AccountAccess:
    """The session's user, role and virtual warehouse, and what the pipelines need but it cannot access."""

    user: str
    role: str
    warehouse: str
    missing_schemas: Sequence[str]
    has_policy: bool


def examine_account(session: SnowflakeSession, database: str, raw_schemas: Sequence[str]) -> AccountAccess:
    """Examine the account, read-only.

    Raises:
        WarehouseError: Snowflake does not respond.
    """
    ((user, role, warehouse),) = session.execute(
        "select current_user(), current_role(), current_warehouse()"
    ).values
    required = (*map(str.upper, raw_schemas), *LAYERS, GOVERNANCE)
    shown = _names(session, f"show schemas in database {database}")
    policies = _names(session, f"show masking policies in database {database}")
    return AccountAccess(
        user=str(user),
        role=str(role),
        warehouse=str(warehouse or "none"),
        missing_schemas=[schema for schema in required if schema not in shown],
        has_policy=POLICY in policies,
    )


def _names(session: SnowflakeSession, statement: str) -> set[str]:
    """The names that SHOW lists; none if the database does not exist, or not for this role."""
    try:
        return {str(row["name"]).upper() for row in session.execute(statement).records()}
    except WarehouseError as error:
        if "does not exist or not authorized" in str(error):
            return set()
        raise
