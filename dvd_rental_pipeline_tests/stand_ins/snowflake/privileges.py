"""What the roles of an account may do: use a virtual warehouse, create in a schema, change what they own.

A statement without the privilege is refused as by Snowflake. The role PUBLIC is the tests' own access and is
not restricted, nor is a role before the account is set up. Administrators may change everything, but need a
virtual warehouse for what it computes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from snowflake.connector.errors import ProgrammingError

from dvd_rental_pipeline_tests.stand_ins.snowflake.account_objects import SYSTEM_ROLES, AccountObjects

_NAME = r"[\w.$\"]+"
_CREATE = re.compile(
    r"create\s+(?P<replace>or\s+replace\s+)?(?P<how>(?:(?:secure|transient|temporary|temp)\s+)*)"
    rf"(?P<kind>table|view|stage|schema)\s+(?P<if>if\s+not\s+exists\s+)?(?P<name>{_NAME})(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_CLONE = re.compile(rf"\s+clone\s+(?P<source>{_NAME})", re.IGNORECASE)
_POLICY = re.compile(rf"with\s+masking\s+policy\s+(?P<name>{_NAME})", re.IGNORECASE)
_AS_QUERY = re.compile(r"(^|\s|\))as\s*[(\s]\s*(select|with|\()", re.IGNORECASE)
_CHANGE = re.compile(
    r"(?P<verb>insert\s+(overwrite\s+)?into|merge\s+into|update|delete\s+from|truncate(\s+table)?|copy\s+into|"
    rf"alter\s+(table|view)(\s+if\s+exists)?|drop\s+(table|view)(\s+if\s+exists)?)\s+(?P<name>{_NAME})(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DROP_SCHEMA = re.compile(rf"drop\s+schema\s+(if\s+exists\s+)?(?P<name>{_NAME})", re.IGNORECASE)
_SWAP = re.compile(rf"\s*swap\s+with\s+(?P<other>{_NAME})", re.IGNORECASE)
_RENAME = re.compile(rf"\s*rename\s+to\s+(?P<other>{_NAME})", re.IGNORECASE)
_READ = re.compile(rf"\b(?:from|join)\s+(?P<name>{_NAME}\.{_NAME})", re.IGNORECASE)
_QUERY = re.compile(r"(select|with)\b.*\bfrom\b", re.IGNORECASE | re.DOTALL)
_COMPUTED = re.compile(r"(insert|merge|update|delete|copy)\b", re.IGNORECASE)
_QUOTA = re.compile(
    r"(create|alter)\s+resource\s+monitor\s+(if\s+not\s+exists\s+)?(?P<name>\w+)\s.*?"
    r"credit_quota\s*=\s*(?P<credits>\d+)",
    re.IGNORECASE | re.DOTALL,
)
_ADMINISTRATORS = {"ACCOUNTADMIN", "SYSADMIN"}


@dataclass
class Privileges:
    """The owners of what statements created, by full name in upper case, and the credits that were spent."""

    account: AccountObjects
    owners: dict[str, str] = field(default_factory=dict)
    schema_owners: dict[str, str] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)

    def require(self, sql: str, role: str, warehouse: str) -> None:
        """Refuse a statement for which `role` lacks a privilege, or which no virtual warehouse can compute.

        Raises:
            ProgrammingError: with the message and the number that Snowflake gives.
        """
        text = _plain_text(sql)
        if role == "PUBLIC" or role not in self.account.names["ROLE"]:
            return
        created = _CREATE.match(text)
        computes_table = (
            created is not None and created["kind"].lower() == "table" and _AS_QUERY.search(created["rest"])
        )
        if _QUERY.match(text) or _COMPUTED.match(text) or computes_table:
            self._require_warehouse(warehouse, role)
        if role in SYSTEM_ROLES:
            return
        for read in _READ.finditer(text):
            self._require_usage(read["name"], role)
        if created:
            self._require_create(created, role)
        elif changed := _CHANGE.match(text):
            self._require_owner(changed["name"], role)
            if swapped := _SWAP.match(changed["rest"]):
                self._require_owner(swapped["other"], role)
            elif renamed := _RENAME.match(changed["rest"]):
                self._require_on_schema(f"CREATE {changed['verb'].split()[1].upper()}", renamed["other"], role)
        elif (dropped := _DROP_SCHEMA.match(text)) and (
            owner := self.schema_owners.get(_full(dropped["name"]))
        ):
            self._require_held(owner, "schema", dropped["name"], role)

    def record(self, sql: str, role: str) -> None:
        """Record the owners and the quotas that a statement has set."""
        text = _plain_text(sql)
        if quota := _QUOTA.match(text):
            if quota[1].lower() == "alter" or quota["name"].upper() not in self.quotas:
                self.quotas[quota["name"].upper()] = int(quota["credits"])
        elif created := _CREATE.match(text):
            self._record_create(created, role)
        elif dropped := _DROP_SCHEMA.match(text):
            name = _full(dropped["name"])
            self.schema_owners.pop(name, None)
            self._forget(lambda each: each.startswith(f"{name}."))
        elif changed := _CHANGE.match(text):
            name, verb = _full(changed["name"]), changed["verb"].lower()
            if verb.startswith("drop"):
                self._forget(name.__eq__)
            elif swapped := _SWAP.match(changed["rest"]):
                other = _full(swapped["other"])
                self.owners[name], self.owners[other] = (
                    self.owners.get(other, role),
                    self.owners.get(name, role),
                )
            elif renamed := _RENAME.match(changed["rest"]):
                other = _full(renamed["other"])
                self.owners[other] = self.owners.pop(name, role)
                if (readers := self.account.readers.pop(name, None)) is not None:
                    self.account.readers[other] = readers

    def _record_create(self, created: re.Match[str], role: str) -> None:
        name, kind = _full(created["name"]), created["kind"].lower()
        owners = self.schema_owners if kind == "schema" else self.owners
        if created["if"] and name in owners:
            return
        owners[name] = role
        if kind == "schema" and (cloned := _CLONE.match(created["rest"])):
            # Objects in a clone of a schema keep their grants and policies; the schema itself has none.
            source = _full(cloned["source"])
            for each in [each for each in self.account.readers if each.startswith(f"{source}.")]:
                clone = f"{name}.{each.rpartition('.')[2]}"
                self.account.readers[clone] = {*self.account.readers[each], role}
                self.owners[clone] = role
            self.account.masked |= {
                (f"{name}.{table.rpartition('.')[2]}", column): policy
                for (table, column), policy in self.account.masked.items()
                if table.startswith(f"{source}.")
            }

    def _forget(self, is_gone: Callable[[str], bool]) -> None:
        for objects in (self.owners, self.account.readers):
            for name in [name for name in objects if is_gone(name)]:
                del objects[name]

    def _require_warehouse(self, name: str, role: str) -> None:
        is_allowed = role in _ADMINISTRATORS or self.account.may("USAGE", "WAREHOUSE", name, role)
        if name not in self.account.names.get("WAREHOUSE", set()) or not is_allowed:
            raise ProgrammingError(
                msg="No active warehouse selected in the current session.  Select an active warehouse with the "
                "'use warehouse' command.\n",
                errno=606,
                sqlstate="57P03",
            )
        monitor = self.account.monitors.get(name)
        if monitor is not None and self.spent.get(monitor, 0) >= self.quotas.get(monitor, 1):
            raise ProgrammingError(
                msg=f"Warehouse '{name}' cannot be resumed because resource monitor '{monitor}' has exceeded "
                "its quota.",
                errno=90073,
                sqlstate="22000",
            )

    def _require_create(self, created: re.Match[str], role: str) -> None:
        kind, name = created["kind"].upper(), created["name"]
        if cloned := _CLONE.match(created["rest"]):
            self._require_usage(f"{cloned['source']}.any" if kind == "SCHEMA" else cloned["source"], role)
        if kind == "SCHEMA":
            database = _full(name).partition(".")[0]
            if _full(name) not in self.schema_owners and not self.account.may(
                "CREATE SCHEMA", "DATABASE", database, role
            ):
                raise _insufficient("database", database)
            return
        self._require_usage(name, role)
        for policy in _POLICY.finditer(created["rest"]):
            if not self.account.may("APPLY", "MASKING_POLICY", policy["name"].upper(), role):
                raise _insufficient("masking policy", policy["name"].upper())
        if "temp" not in created["how"].lower():
            self._require_on_schema(f"CREATE {kind}", name, role)
        if created["replace"] and (owner := self.owners.get(_full(name))):
            self._require_held(owner, kind.lower(), name, role)

    def _require_owner(self, name: str, role: str) -> None:
        """Refuse to change a table that another role owns: the account's design grants no other right to."""
        self._require_usage(name, role)
        if owner := self.owners.get(_full(name)):
            self._require_held(owner, "table", name, role)

    def _require_held(self, owner: str, kind: str, name: str, role: str) -> None:
        if owner not in self.account.inherited(role):
            raise _insufficient(kind, _full(name).rpartition(".")[2])

    def _require_on_schema(self, privilege: str, name: str, role: str) -> None:
        schema = _schema(name)
        if schema not in self.schema_owners:
            return
        owns = self.schema_owners[schema] in self.account.inherited(role)
        if not owns and not self.account.may(privilege, "SCHEMA", schema, role):
            raise _insufficient("schema", schema.rpartition(".")[2])

    def _require_usage(self, name: str, role: str) -> None:
        """Refuse a name in a schema on which the role has no privilege."""
        schema = _schema(name)
        if schema not in self.schema_owners or self.schema_owners[schema] in self.account.inherited(role):
            return
        if not any(
            grant[1:3] == ("SCHEMA", schema) and grant[3] in self.account.inherited(role)
            for grant in self.account.grants
        ):
            raise ProgrammingError(
                msg=f"SQL compilation error:\nSchema '{schema}' does not exist or not authorized.",
                errno=2003,
                sqlstate="02000",
            )


def _insufficient(kind: str, name: str) -> ProgrammingError:
    return ProgrammingError(
        msg=f"SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'.",
        errno=3001,
        sqlstate="42501",
    )


def _plain_text(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL).strip()


def _full(name: str) -> str:
    """The name of a relation or a schema with its database, in upper case."""
    plain = name.replace('"', "").upper()
    return plain if plain.startswith("DVD_RENTALS.") or plain.count(".") == 2 else f"DVD_RENTALS.{plain}"


def _schema(name: str) -> str:
    return _full(name).rpartition(".")[0]
