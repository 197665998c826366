"""What an account lacks of its design, and applying it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.warehouse.snowflake_account.design import (
    GOVERNANCE,
    LAKE,
    STORAGE_INTEGRATION,
    Account,
    AccountObject,
    Grant,
    Statement,
)
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession

_SHOWN = ("ROLE", "WAREHOUSE", "USER", "RESOURCE MONITOR", "NETWORK POLICY", "DATABASE")


@dataclass(frozen=True)
class AccountPlan:
    """The `statements` of the design in order, and those of them that are `missing` in the account."""

    statements: Sequence[Statement]
    missing: Sequence[Statement]

    @property
    def repeated(self) -> Sequence[Statement]:
        """The statements that set properties, and run each time."""
        return [each for each in self.statements if each.is_repeated]

    @property
    def script(self) -> str:
        """SQL for a worksheet: what is missing, and the properties of what that creates, each as its role."""
        created = {statement.creates for statement in self.missing if statement.creates is not None}
        lines: list[str] = []
        role = None
        for statement in self.statements:
            if statement in self.missing or (statement.is_repeated and created.intersection(statement.needs)):
                if statement.role != role:
                    role = statement.role
                    lines.append(f"use role {role};")
                lines.append(f"{statement.sql};")
        return "\n".join(lines)


@dataclass(frozen=True)
class StorageIdentity:
    """The IAM user as which Snowflake assumes the AWS role, and the external id that it presents."""

    user_arn: str
    external_id: str


def full_plan(account: Account) -> AccountPlan:
    """The plan for an account that cannot be read: all statements."""
    statements = account.statements()
    return AccountPlan(statements, [each for each in statements if not each.is_repeated])


def compare(account: Account, session: SnowflakeSession) -> AccountPlan:
    """The plan for the account of `session`, whose user is an administrator.

    Raises:
        WarehouseError: the account cannot be read.
    """
    objects = _objects(account, session)
    grants = set(_grants(account, session, objects))
    statements = account.statements()
    return AccountPlan(statements, [each for each in statements if _is_missing(each, objects, grants)])


def apply(account: Account, session: SnowflakeSession, on_statement: Callable[[str], None]) -> int:
    """Run the plan in order, each statement as its role; returns the number of missing ones.

    Raises:
        WarehouseError: a statement fails. Those before it have taken effect; running again continues.
    """
    plan = compare(account, session)
    for statement in plan.statements:
        if statement in plan.missing or statement.is_repeated:
            on_statement(statement.sql)
            session.execute(f"use role {statement.role}")
            session.execute(statement.sql)
    return len(plan.missing)


def _is_missing(statement: Statement, objects: set[AccountObject], grants: set[Grant]) -> bool:
    if statement.creates is not None:
        return statement.creates not in objects
    return bool(statement.grants) and not grants.issuperset(statement.grants)


def _objects(account: Account, session: SnowflakeSession) -> set[AccountObject]:
    found = {
        AccountObject(kind, str(row["name"]))
        for kind in _SHOWN
        for row in session.execute(f"show {kind.lower().replace('policy', 'policie')}s").records()
    }
    if AccountObject("DATABASE", account.database) in found:
        schemas = session.execute(f"show schemas in database {account.database}").records()
        found |= {AccountObject("SCHEMA", f"{account.database}.{str(row['name']).upper()}") for row in schemas}
    if account.storage_role:
        found |= set(_lake_objects(account, session, found))
    governance = f"{account.database}.{GOVERNANCE}"
    if account.has_policies and AccountObject("SCHEMA", governance) in found:
        tables = session.execute(f"show tables in schema {governance}").records()
        found |= {AccountObject("TABLE", f"{governance}.{str(row['name']).upper()}") for row in tables}
        policies = session.execute(f"show masking policies in database {account.database}").records()
        found |= {
            AccountObject("MASKING POLICY", f"{row['database_name']}.{row['schema_name']}.{row['name']}")
            for row in policies
        }
    return found


def _lake_objects(
    account: Account, session: SnowflakeSession, found: Collection[AccountObject]
) -> Iterator[AccountObject]:
    for row in session.execute("show storage integrations").records():
        yield AccountObject("STORAGE INTEGRATION", str(row["name"]))
    schema = f"{account.database}.{LAKE}"
    if AccountObject("SCHEMA", schema) in found:
        for row in session.execute(f"show stages in schema {schema}").records():
            yield AccountObject("STAGE", f"{schema}.{row['name']}")


def storage_identity(session: SnowflakeSession) -> StorageIdentity:
    """What the trust policy of the AWS role must name: known only when the integration exists.

    Raises:
        WarehouseError: there is no integration, or it cannot be read.
    """
    rows = session.execute(f"describe storage integration {STORAGE_INTEGRATION}").records()
    properties = {str(row["property"]): str(row["property_value"]) for row in rows}
    return StorageIdentity(properties["STORAGE_AWS_IAM_USER_ARN"], properties["STORAGE_AWS_EXTERNAL_ID"])


def _grants(account: Account, session: SnowflakeSession, objects: set[AccountObject]) -> Iterable[Grant]:
    required = [grant for statement in account.statements() for grant in statement.grants]
    for role in sorted({grant.grantee for grant in required}):
        if AccountObject("ROLE", role) in objects:
            for row in session.execute(f"show grants to role {role}").records():
                kind = str(row["granted_on"]).replace("_", " ")
                yield Grant(str(row["privilege"]), kind, str(row["name"]), role)
            for row in session.execute(f"show future grants to role {role}").records():
                schema = str(row["name"]).rpartition(".")[0]
                yield Grant(str(row["privilege"]), str(row["grant_on"]), schema, role, future=True)
        elif AccountObject("USER", role) in objects:
            for row in session.execute(f"show grants to user {role}").records():
                yield Grant("USAGE", "ROLE", str(row["role"]), role)
