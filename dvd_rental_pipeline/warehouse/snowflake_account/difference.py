"""What an account lacks of its design, and mending it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.warehouse.snowflake_account.design import Account, Grant, Named, Statement
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession

_SHOWN = ("ROLE", "WAREHOUSE", "USER", "RESOURCE MONITOR", "NETWORK POLICY", "DATABASE")


@dataclass(frozen=True)
class Plan:
    """`missing` changes the account; `repeated` brings properties to their values, whatever they are."""

    missing: Sequence[Statement]
    repeated: Sequence[Statement]


def whole(account: Account) -> Plan:
    """The plan for an account of which nothing is known."""
    return Plan(account.statements(), [])


def compare(account: Account, session: SnowflakeSession) -> Plan:
    """The plan for the account of `session`, which an administrator has opened.

    Raises:
        WarehouseError: the account cannot be read.
    """
    objects = _objects(account, session)
    grants = set(_grants(account, session, objects))
    statements = account.statements()
    return Plan(
        missing=[each for each in statements if _is_missing(each, objects, grants)],
        repeated=[each for each in statements if each.makes is None and not each.grants],
    )


def apply(account: Account, session: SnowflakeSession, tell: Callable[[str], None]) -> int:
    """Run every statement of the plan, in order, each as its role; returns how many were missing.

    Raises:
        WarehouseError: a statement fails. Those before it have taken effect; running again goes on.
    """
    plan = compare(account, session)
    wanted = {*plan.missing, *plan.repeated}
    for statement in account.statements():
        if statement in wanted:
            tell(statement.sql)
            session.execute(f"use role {statement.role}")
            session.execute(statement.sql)
    return len(plan.missing)


def _is_missing(statement: Statement, objects: set[Named], grants: set[Grant]) -> bool:
    if statement.makes is not None:
        return statement.makes not in objects
    return bool(statement.grants) and not grants.issuperset(statement.grants)


def _objects(account: Account, session: SnowflakeSession) -> set[Named]:
    found = {
        Named(kind, str(row["name"]))
        for kind in _SHOWN
        for row in session.execute(f"show {kind.lower().replace('policy', 'policie')}s").records()
    }
    if Named("DATABASE", account.database) in found:
        schemas = session.execute(f"show schemas in database {account.database}").records()
        found |= {Named("SCHEMA", f"{account.database}.{str(row['name']).upper()}") for row in schemas}
        policies = session.execute(f"show masking policies in database {account.database}").records()
        found |= {
            Named("MASKING POLICY", f"{row['database_name']}.{row['schema_name']}.{row['name']}")
            for row in policies
        }
    return found


def _grants(account: Account, session: SnowflakeSession, objects: set[Named]) -> Iterable[Grant]:
    wanted = [grant for statement in account.statements() for grant in statement.grants]
    for role in sorted({grant.grantee for grant in wanted}):
        if Named("ROLE", role) in objects:
            for row in session.execute(f"show grants to role {role}").records():
                kind = str(row["granted_on"]).replace("_", " ")
                yield Grant(str(row["privilege"]), kind, str(row["name"]), role)
            for row in session.execute(f"show future grants to role {role}").records():
                schema = str(row["name"]).rpartition(".")[0]
                yield Grant(str(row["privilege"]), str(row["grant_on"]), schema, role, future=True)
        elif Named("USER", role) in objects:
            for row in session.execute(f"show grants to user {role}").records():
                yield Grant("USAGE", "ROLE", str(row["role"]), role)


def script(statements: Sequence[Statement]) -> str:
    """The statements as SQL for a worksheet, each as its role."""
    lines: list[str] = []
    role = None
    for statement in statements:
        if statement.role != role:
            role = statement.role
            lines.append(f"use role {role};")
        lines.append(f"{statement.sql};")
    return "\n".join(lines)
