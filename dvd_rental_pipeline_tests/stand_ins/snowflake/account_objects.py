"""Roles, warehouses, users, policies and grants, which fakesnow lacks: recorded and shown, some enforced.

Enforced: the public key of a user, needed to log in; SELECT on tables, by the roles of the account's design; no
policies in the Standard edition. A statement that names an object which does not exist is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from snowflake.connector.errors import ProgrammingError

SUCCESS = "select 'Statement executed successfully.' as \"status\""

_KIND = r"role|warehouse|user|resource\s+monitor|network\s+policy|masking\s+policy|storage\s+integration"
_NAME = r"[\w.$]+"
_CREATE = re.compile(
    rf"create\s+(?P<how>or\s+replace\s+)?(?P<kind>{_KIND})\s+(?P<if>if\s+not\s+exists\s+)?(?P<name>{_NAME})(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ALTER = re.compile(
    rf"alter\s+(?P<kind>{_KIND}|account|database)\s+(?P<name>{_NAME})\s+(?P<rest>(un)?set\b.*)",
    re.IGNORECASE | re.DOTALL,
)
_DROP = re.compile(rf"drop\s+(?P<kind>{_KIND})\s+(if\s+exists\s+)?(?P<name>{_NAME})\s*$", re.IGNORECASE)
_GRANT_ROLE = re.compile(
    rf"grant\s+role\s+(?P<role>{_NAME})\s+to\s+(?P<kind>role|user)\s+(?P<grantee>{_NAME})\s*$", re.IGNORECASE
)
_GRANT_DATABASE_ROLE = re.compile(
    rf"grant\s+database\s+role\s+(?P<role>{_NAME})\s+to\s+role\s+(?P<grantee>{_NAME})\s*$", re.IGNORECASE
)
_GRANT = re.compile(
    rf"grant\s+(?P<privileges>[\w\s,]+?)\s+on\s+(?P<on>.+?)\s+to\s+role\s+(?P<grantee>{_NAME})\s*$",
    re.IGNORECASE | re.DOTALL,
)
_ON_MANY = re.compile(
    rf"(?P<when>all|future)\s+(?P<kind>\w+?)s\s+in\s+(?P<where>schema|database)\s+(?P<name>{_NAME})", re.I
)
_ON_ONE = re.compile(
    rf"(?P<kind>{_KIND}|database|schema|table|view|account|integration|stage)(\s+(?P<name>{_NAME}))?\s*$", re.I
)
_MASK = re.compile(
    rf"alter\s+(?P<kind>table|view)\s+(?P<name>{_NAME})\s+modify\s+(?P<columns>.+)", re.IGNORECASE | re.DOTALL
)
_MASKED_COLUMN = re.compile(rf"column\s+(?P<column>\w+)\s+set\s+masking\s+policy\s+(?P<policy>{_NAME})", re.I)
_SHOW = re.compile(
    rf"show\s+(?P<kind>(?:{_KIND.replace('policy', 'policie')})s)(?:\s+like\s+'(?P<like>[^']*)')?"
    rf"(?:\s+in\s+(?:database|schema|account)\s*(?P<where>{_NAME})?)?\s*$",
    re.IGNORECASE,
)
_SHOW_GRANTS = re.compile(
    rf"show\s+(?P<future>future\s+)?grants\s+to\s+(?P<kind>role|user)\s+(?P<name>{_NAME})\s*$", re.IGNORECASE
)
_REFERENCES = re.compile(
    r"information_schema\.policy_references\(\s*policy_name\s*=>\s*'(?P<policy>[^']+)'", re.I
)
_CREATED = re.compile(
    r"\s*create\s+(or\s+replace\s+)?(secure\s+|transient\s+)*(?P<kind>table|view)\s+"
    r"(?P<if>if\s+not\s+exists\s+)?"
    r"(?P<name>[\w.$\"]+)",
    re.IGNORECASE,
)
_SWAP = re.compile(r"alter\s+table\s+(?P<one>\S+)\s+swap\s+with\s+(?P<other>[^\s;]+)", re.IGNORECASE)
_READ = re.compile(r"\b(from|join)\s+(?P<name>[\w.$\"]+\.[\w.$\"]+)", re.IGNORECASE)
_POLICY_CLAUSE = re.compile(r"\s+with\s+masking\s+policy\s+[\w.$]+", re.IGNORECASE)
_COLUMN_POLICY = re.compile(
    r"[(,]\s*(?P<column>[\w\"]+)(\s+[a-z ]+?(\s*\([\d, ]+\))?)?(\s+not\s+null)?"
    r"\s+with\s+masking\s+policy\s+(?P<policy>[\w.$]+)",
    re.IGNORECASE,
)
SYSTEM_ROLES = ("ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "PUBLIC")


@dataclass
class AccountObjects:
    """The objects of an account other than databases. Names are in upper case."""

    names: dict[str, set[str]] = field(default_factory=lambda: {"ROLE": set(SYSTEM_ROLES)})
    grants: list[tuple[str, str, str, str]] = field(default_factory=list)
    future_grants: list[tuple[str, str, str, str]] = field(default_factory=list)
    masked: dict[tuple[str, str], str] = field(default_factory=dict)
    public_keys: dict[str, str] = field(default_factory=dict)
    edition: str = "enterprise"
    monitors: dict[str, str] = field(default_factory=dict)
    readers: dict[str, set[str]] = field(default_factory=dict)
    """The roles that may read each table or view, by its full name."""

    def record_relation(self, sql: str, role: str) -> None:
        """Record who may read a table or view that the statement created, replaced, swapped or renamed.

        Its owner, and roles with a future grant in its schema at that time. A swap exchanges tables with their
        grants: those of the schema in which they arrive do not apply.
        """
        text = _without_comments(sql).strip()
        if swapped := _SWAP.match(text):
            one, other = _full_name(swapped["one"]), _full_name(swapped["other"])
            self.readers[one], self.readers[other] = (
                self.readers.get(other, set()),
                self.readers.get(one, set()),
            )
        elif created := _CREATED.match(text):
            name, kind = _full_name(created["name"]), created["kind"].upper()
            if created["if"] and name in self.readers:
                return
            schema = name.rpartition(".")[0]
            self.readers[name] = {role} | {
                grantee
                for privilege, granted_kind, scope, grantee in self.future_grants
                if privilege == "SELECT" and granted_kind == kind and scope == f"{schema}.<{kind}>"
            }

    def require_readable(self, sql: str, role: str) -> None:
        """Refuse a statement that reads a recorded table without a grant, by a role of the account's design.

        Raises:
            ProgrammingError: the role may not read a table.
        """
        if role in SYSTEM_ROLES or role not in self.names["ROLE"]:
            return
        for match in _READ.finditer(_without_comments(sql)):
            name = _full_name(match["name"])
            if name in self.readers and not self.inherited(role) & self.readers[name]:
                raise ProgrammingError(
                    msg=f"SQL compilation error:\nObject '{name}' does not exist or not authorized.",
                    errno=2003,
                    sqlstate="42S02",
                )

    def may(self, privilege: str, kind: str, name: str, role: str) -> bool:
        """Whether `role`, or a role granted to it, has a privilege on an object."""
        return any((privilege, kind, name, each) in self.grants for each in self.inherited(role))

    def database_roles(self, role: str) -> set[str]:
        """The database roles granted to `role`, or to one that is granted to it."""
        inherited = self.inherited(role)
        return {grant[2] for grant in self.grants if grant[1] == "DATABASE_ROLE" and grant[3] in inherited}

    def has_role(self, user: str, role: str) -> bool:
        """Whether the user may log in with the role, as every user may with PUBLIC."""
        return role == "PUBLIC" or ("USAGE", "ROLE", role, user) in self.grants

    def inherited(self, role: str) -> set[str]:
        """The role, and those granted to it."""
        return {role} | {grant[2] for grant in self.grants if grant[1] == "ROLE" and grant[3] == role}

    def without_policies(self, sql: str) -> str:
        """A create statement without the masking policies of its columns, which are recorded.

        Raises:
            ProgrammingError: a policy does not exist, or the edition has none.
        """
        created = _CREATED.match(_without_comments(sql))
        if created is None:
            return sql
        target = created["name"].replace('"', "").upper()
        # Replacing a table drops the policies on it.
        self.masked = {key: policy for key, policy in self.masked.items() if key[0] != target}
        for column in _COLUMN_POLICY.finditer(sql):
            self._require_policies()
            self.require("MASKING POLICY", column["policy"].upper())
            self.masked[target, column["column"].replace('"', "").upper()] = column["policy"].upper()
        return _POLICY_CLAUSE.sub("", sql)

    def answer(self, sql: str) -> str | None:
        """Execute `sql` and return a statement that selects its result; None if it concerns no account object.

        Raises:
            ProgrammingError: it names an object that does not exist, or creates one that does.
        """
        text = _without_comments(sql).strip().rstrip(";").strip()
        for pattern, execute in (
            (_CREATE, self._create),
            (_ALTER, self._alter),
            (_DROP, self._drop),
            (_GRANT_ROLE, self._grant_role),
            (_GRANT_DATABASE_ROLE, self._grant_database_role),
            (_GRANT, self._grant),
            (_MASK, self._mask),
            (_SHOW, self._show),
            (_SHOW_GRANTS, self._show_grants),
        ):
            if match := pattern.match(text):
                return execute(match)
        if match := _REFERENCES.search(text):
            policy = match["policy"].upper()
            rows = [
                (*name.rpartition(".")[::2], column)
                for (name, column), masked_by in self.masked.items()
                if masked_by == policy
            ]
            return select_rows(("REF_SCHEMA_NAME", "REF_ENTITY_NAME", "REF_COLUMN_NAME"), rows)
        return None

    def _create(self, match: re.Match[str]) -> str:
        kind, name = _normalize(match["kind"]), match["name"].upper()
        if kind == "MASKING POLICY":
            self._require_policies()
        existing = self.names.setdefault(kind, set())
        if name in existing and not match["if"] and not match["how"]:
            raise ProgrammingError(
                msg=f"SQL compilation error:\nObject '{name}' already exists.", errno=2002, sqlstate="42710"
            )
        existing.add(name)
        self._record_key(kind, name, match["rest"])
        return SUCCESS

    def _alter(self, match: re.Match[str]) -> str:
        kind, name = _normalize(match["kind"]), match["name"].upper()
        if kind not in ("ACCOUNT", "DATABASE"):
            self.require(kind, name)
        self._record_key(kind, name, match["rest"])
        for bound, other in re.findall(r"(resource_monitor|network_policy)\s*=\s*'?(\w+)", match["rest"], re.I):
            self.require(_normalize(bound.replace("_", " ")), other.upper())
            if bound.lower() == "resource_monitor":
                self.monitors[name] = other.upper()
        return SUCCESS

    def _record_key(self, kind: str, name: str, properties: str) -> None:
        """From now on the user logs in with the public key in `properties`, if there is one."""
        if kind == "USER" and (key := re.search(r"rsa_public_key\s*=\s*'([^']+)'", properties, re.IGNORECASE)):
            self.public_keys[name] = f"-----BEGIN PUBLIC KEY-----\n{key[1]}\n-----END PUBLIC KEY-----\n"

    def _drop(self, match: re.Match[str]) -> str:
        self.names.get(_normalize(match["kind"]), set()).discard(match["name"].upper())
        return SUCCESS

    def _grant_role(self, match: re.Match[str]) -> str:
        role, grantee = match["role"].upper(), match["grantee"].upper()
        self.require("ROLE", role)
        self.require(match["kind"].upper(), grantee)
        self._add(self.grants, ("USAGE", "ROLE", role, grantee))
        return SUCCESS

    def _grant_database_role(self, match: re.Match[str]) -> str:
        grantee = match["grantee"].upper()
        self.require("ROLE", grantee)
        self._add(self.grants, ("USAGE", "DATABASE_ROLE", match["role"].upper(), grantee))
        return SUCCESS

    def _grant(self, match: re.Match[str]) -> str:
        grantee = match["grantee"].upper()
        self.require("ROLE", grantee)
        for privilege in (_normalize(each) for each in match["privileges"].split(",")):
            if many := _ON_MANY.match(match["on"]):
                scope = f"{many['name'].upper()}.<{many['kind'].upper()}>"
                if many["when"].lower() == "all":
                    for name, readers in self.readers.items():
                        if name.startswith(f"{many['name'].upper()}."):
                            readers.add(grantee)
                else:
                    self._add(self.future_grants, (privilege, many["kind"].upper(), scope, grantee))
            elif one := _ON_ONE.match(match["on"]):
                kind, name = _normalize(one["kind"]), (one["name"] or "").upper()
                created_as = "STORAGE INTEGRATION" if kind == "INTEGRATION" else kind
                if created_as in self.names or kind == "INTEGRATION":
                    self.require(created_as, name)
                self._add(self.grants, (privilege, kind.replace(" ", "_"), name, grantee))
            else:
                raise ProgrammingError(msg=f"cannot grant on {match['on']}", errno=1003, sqlstate="42000")
        return SUCCESS

    def _require_policies(self) -> None:
        if self.edition == "standard":
            raise ProgrammingError(msg="Unsupported feature 'MASKING POLICY'.", errno=2, sqlstate="0A000")

    def _mask(self, match: re.Match[str]) -> str:
        for column in _MASKED_COLUMN.finditer(match["columns"]):
            self.require("MASKING POLICY", column["policy"].upper())
            self.masked[match["name"].upper(), column["column"].upper()] = column["policy"].upper()
        return SUCCESS

    def _show(self, match: re.Match[str]) -> str:
        kind = _normalize(match["kind"])[:-1].replace("POLICIE", "POLICY")
        pattern = re.compile((match["like"] or "%").replace("%", ".*"), re.IGNORECASE)
        names = sorted(self.names.get(kind, set()))
        rows = []
        for name in names:
            # A policy is shown by its unqualified name; its database and schema are in other columns.
            schema, _, unqualified = name.rpartition(".")
            if pattern.fullmatch(unqualified):
                monitor = self.monitors.get(name, "null") if kind == "WAREHOUSE" else ""
                rows.append((unqualified, *schema.partition(".")[::2], monitor))
        return select_rows(("name", "database_name", "schema_name", "resource_monitor"), rows)

    def _show_grants(self, match: re.Match[str]) -> str:
        kind, name = match["kind"].upper(), match["name"].upper()
        self.require(kind, name)
        if kind == "USER":
            return select_rows(
                ("role", "granted_to"), [(grant[2], "USER") for grant in self.grants if grant[3] == name]
            )
        grants = self.future_grants if match["future"] else self.grants
        on = "grant_on" if match["future"] else "granted_on"
        rows = [grant[:3] for grant in grants if grant[3] == name]
        return select_rows(("privilege", on, "name"), rows)

    def _add(self, grants: list[tuple[str, str, str, str]], grant: tuple[str, str, str, str]) -> None:
        if grant not in grants:
            grants.append(grant)

    def require(self, kind: str, name: str) -> None:
        """Refuse a name that no object of `kind` has.

        Raises:
            ProgrammingError: there is no such object.
        """
        if name not in self.names.get(kind, set()):
            raise ProgrammingError(
                msg=f"SQL compilation error:\n{kind.capitalize()} '{name}' does not exist or not authorized.",
                errno=2003,
                sqlstate="02000",
            )


def _without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL)


def _full_name(name: str) -> str:
    """The name with its database, in upper case."""
    plain = name.replace('"', "").upper()
    return plain if plain.count(".") == 2 else f"DVD_RENTALS.{plain}"


def _normalize(text: str) -> str:
    return " ".join(text.upper().split())


def select_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A statement that selects `rows`."""
    names = ", ".join(f'column{position} as "{name}"' for position, name in enumerate(columns, start=1))
    values = ", ".join("(" + ", ".join(f"'{value}'" for value in row) + ")" for row in rows)
    placeholder = "(" + ", ".join("''" for _ in columns) + ")"
    return f"select {names} from values {values or placeholder}" + ("" if rows else " where false")
