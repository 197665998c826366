"""What the account must hold for the pipeline, as statements that may run any number of times.

Who may do what:

- LOADER writes the raw tables and reads nothing else. Airbyte takes it.
- TRANSFORMER reads the raw tables, writes every layer, and makes schemas for branches. dbt and Dagster take it.
- REPORTER reads marts and reports, personal columns masked. Dashboards and people take it.
- PII_READER is a REPORTER who sees personal columns.

Everyone else sees nothing. The schemas have managed access: who makes a table cannot give it away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

RAW = DVD_RENTAL.name.upper()
LAYERS = ("STAGING", "SNAPSHOTS", "MARTS", "REPORTS")
REPORTED = ("MARTS", "REPORTS")
GOVERNANCE = "GOVERNANCE"
POLICY = "PERSONAL_TEXT"
MONITOR = "DVD_RENTAL_MONTHLY"
NETWORK_POLICY = "DVD_RENTAL_CLIENTS"
# The warehouse, and the user by default, of each role that a service takes.
WAREHOUSES = {"LOADER": "LOADING", "TRANSFORMER": "TRANSFORMING", "REPORTER": "REPORTING"}
USERS = {"LOADER": "AIRBYTE", "TRANSFORMER": "DVD_RENTAL_TRANSFORMER", "REPORTER": "DVD_RENTAL_REPORTER"}
_MONITORING = (
    "frequency = monthly start_timestamp = immediately"
    " triggers on 80 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate"
)


@dataclass(frozen=True)
class Named:
    """An object of the account; names are in upper case, and full: `DVD_RENTALS.MARTS`."""

    kind: str
    name: str


@dataclass(frozen=True)
class Grant:
    """One privilege of a role; with `future`, on every `kind` that will stand in the schema `name`."""

    privilege: str
    kind: str
    name: str
    grantee: str
    future: bool = False


@dataclass(frozen=True)
class Statement:
    """A statement, the role that runs it, and what it does.

    `makes` and `grants` say when it need not run: what it makes is there. A statement with neither brings a
    property to the value it should have, and runs each time. `needs` is there before.
    """

    sql: str
    role: str
    makes: Named | None = None
    grants: tuple[Grant, ...] = ()
    needs: tuple[Named, ...] = ()


@dataclass(frozen=True)
class Account:
    """What differs from account to account.

    `public_keys` holds, by role, the public key of its service user: the body of the PEM, in one line. A role
    without one gets no user. `credits` is what all warehouses may spend in a month. `allowed_ips` are addresses
    or CIDR ranges; without any there is no network policy.
    """

    database: str = "DVD_RENTALS"
    public_keys: Mapping[str, str] = field(default_factory=dict)
    credits: int = 30
    allowed_ips: Sequence[str] = ()

    def statements(self) -> Sequence[Statement]:
        """All statements, in an order in which each finds what it needs."""
        return [
            *self._roles(),
            *self._warehouses(),
            *self._schemas(),
            *self._policy(),
            *self._loader(),
            *self._transformer(),
            *self._reporter(),
            *self._users(),
        ]

    def clone_branch(self, branch: str) -> Sequence[str]:
        """Schemas for a branch that begin as production's; a clone costs nothing until it changes."""
        return [
            f"create schema if not exists {self.database}.{branch}_{layer} clone {self.database}.{layer}"
            for layer in LAYERS
        ]

    def drop_branch(self, branch: str) -> Sequence[str]:
        """Take the schemas of a branch away."""
        return [f"drop schema if exists {self.database}.{branch}_{layer}" for layer in LAYERS]

    def _roles(self) -> Iterator[Statement]:
        for role in (*WAREHOUSES, "PII_READER"):
            yield Statement(f"create role if not exists {role}", "USERADMIN", makes=Named("ROLE", role))
            yield self._give_role(role, "ROLE", "SYSADMIN")
        yield self._give_role("REPORTER", "ROLE", "PII_READER")

    def _warehouses(self) -> Iterator[Statement]:
        monitor = Named("RESOURCE MONITOR", MONITOR)
        yield Statement(
            f"create resource monitor if not exists {MONITOR} with credit_quota = {self.credits} {_MONITORING}",
            "ACCOUNTADMIN",
            makes=monitor,
        )
        yield Statement(
            f"alter resource monitor {MONITOR} set credit_quota = {self.credits}",
            "ACCOUNTADMIN",
            needs=(monitor,),
        )
        for role, warehouse in WAREHOUSES.items():
            made = Named("WAREHOUSE", warehouse)
            # The smallest runs every model in seconds, and a minute is the least that is charged.
            properties = "warehouse_size = 'XSMALL' auto_suspend = 60 statement_timeout_in_seconds = 3600"
            yield Statement(
                f"create warehouse if not exists {warehouse} with {properties} initially_suspended = true",
                "SYSADMIN",
                makes=made,
            )
            yield Statement(f"alter warehouse {warehouse} set {properties}", "SYSADMIN", needs=(made,))
            yield Statement(
                f"alter warehouse {warehouse} set resource_monitor = {MONITOR}",
                "ACCOUNTADMIN",
                needs=(made, monitor),
            )
            yield self._give(("USAGE",), "WAREHOUSE", warehouse, role)

    def _schemas(self) -> Iterator[Statement]:
        database = Named("DATABASE", self.database)
        yield Statement(f"create database if not exists {self.database}", "SYSADMIN", makes=database)
        for schema in (RAW, *LAYERS, GOVERNANCE):
            yield Statement(
                f"create schema if not exists {self.database}.{schema} with managed access",
                "SYSADMIN",
                makes=Named("SCHEMA", f"{self.database}.{schema}"),
                needs=(database,),
            )

    def _policy(self) -> Iterator[Statement]:
        policy = f"{self.database}.{GOVERNANCE}.{POLICY}"
        # dbt's own role reads what it transforms, or it would build reports of masked values.
        body = (
            "case when is_role_in_session('PII_READER') or is_role_in_session('TRANSFORMER') then value"
            " else sha2(value) end"
        )
        made = Named("MASKING POLICY", policy)
        schema = Named("SCHEMA", f"{self.database}.{GOVERNANCE}")
        yield Statement(
            f"create masking policy if not exists {policy} as (value varchar) returns varchar -> {body}",
            "SYSADMIN",
            makes=made,
            needs=(schema,),
        )
        yield Statement(f"alter masking policy {policy} set body -> {body}", "SYSADMIN", needs=(made,))
        yield self._give(("USAGE",), "SCHEMA", schema.name, "TRANSFORMER")
        yield self._give(("APPLY",), "MASKING POLICY", policy, "TRANSFORMER")

    def _loader(self) -> Iterator[Statement]:
        # Airbyte makes a schema of its own for what it loads by stages, besides that of the tables.
        yield self._give(("USAGE", "CREATE SCHEMA"), "DATABASE", self.database, "LOADER")
        yield self._give(
            ("USAGE", "CREATE TABLE", "CREATE VIEW", "CREATE STAGE"),
            "SCHEMA",
            f"{self.database}.{RAW}",
            "LOADER",
        )

    def _transformer(self) -> Iterator[Statement]:
        # CREATE SCHEMA is for branches, which build beside production.
        yield self._give(("USAGE", "CREATE SCHEMA"), "DATABASE", self.database, "TRANSFORMER")
        yield self._give(("USAGE",), "SCHEMA", f"{self.database}.{RAW}", "TRANSFORMER")
        yield from self._give_reading(RAW, "TRANSFORMER", ("TABLE",))
        for layer in LAYERS:
            yield self._give(
                ("USAGE", "CREATE TABLE", "CREATE VIEW"), "SCHEMA", f"{self.database}.{layer}", "TRANSFORMER"
            )

    def _reporter(self) -> Iterator[Statement]:
        yield self._give(("USAGE",), "DATABASE", self.database, "REPORTER")
        for layer in REPORTED:
            yield self._give(("USAGE",), "SCHEMA", f"{self.database}.{layer}", "REPORTER")
            yield from self._give_reading(layer, "REPORTER", ("TABLE", "VIEW"))

    def _users(self) -> Iterator[Statement]:
        for role, key in self.public_keys.items():
            user = Named("USER", USERS[role])
            yield Statement(
                f"create user if not exists {user.name} type = service default_role = {role}"
                f" default_warehouse = {WAREHOUSES[role]} rsa_public_key = '{key}'",
                "USERADMIN",
                makes=user,
            )
            yield Statement(f"alter user {user.name} set rsa_public_key = '{key}'", "USERADMIN", needs=(user,))
            yield self._give_role(role, "USER", user.name)
        if self.allowed_ips:
            policy = Named("NETWORK POLICY", NETWORK_POLICY)
            addresses = ", ".join(f"'{address}'" for address in self.allowed_ips)
            yield Statement(
                f"create network policy if not exists {policy.name} allowed_ip_list = ({addresses})",
                "SECURITYADMIN",
                makes=policy,
            )
            yield Statement(
                f"alter network policy {policy.name} set allowed_ip_list = ({addresses})",
                "SECURITYADMIN",
                needs=(policy,),
            )
            for role in self.public_keys:
                # On our users alone: the account's other users come from wherever they come.
                yield Statement(
                    f"alter user {USERS[role]} set network_policy = {policy.name}",
                    "SECURITYADMIN",
                    needs=(policy, Named("USER", USERS[role])),
                )

    def _give_role(self, role: str, kind: str, grantee: str) -> Statement:
        return Statement(
            f"grant role {role} to {kind.lower()} {grantee}",
            "SECURITYADMIN",
            grants=(Grant("USAGE", "ROLE", role, grantee),),
            needs=(Named("ROLE", role), Named(kind, grantee)),
        )

    def _give(self, privileges: tuple[str, ...], kind: str, name: str, role: str) -> Statement:
        return Statement(
            f"grant {', '.join(privileges).lower()} on {kind.lower()} {name} to role {role}",
            "SECURITYADMIN",
            grants=tuple(Grant(privilege, kind, name, role) for privilege in privileges),
            needs=(Named(kind, name), Named("ROLE", role)),
        )

    def _give_reading(self, schema: str, role: str, kinds: Sequence[str]) -> Iterator[Statement]:
        """SELECT on what stands in `schema`, and on what will: dbt and Airbyte replace tables."""
        name = f"{self.database}.{schema}"
        needs = (Named("SCHEMA", name), Named("ROLE", role))
        for kind in kinds:
            future = (Grant("SELECT", kind, name, role, future=True),)
            for when in ("all", "future"):
                yield Statement(
                    f"grant select on {when} {kind.lower()}s in schema {name} to role {role}",
                    "SECURITYADMIN",
                    # Where the future grant is there, what has been made since has got it.
                    grants=future,
                    needs=needs,
                )


def read_public_keys(options: Sequence[str]) -> Mapping[str, str]:
    """The public keys of `ROLE=FILE`, by role, as Snowflake stores them.

    Raises:
        PipelineError: the role is none of ours, or the file holds no public key.
    """
    keys = {}
    for option in options:
        role, _, path = option.partition("=")
        if role not in USERS or not path:
            raise PipelineError(f"--public-key {option}: give ROLE=FILE, with a role of {', '.join(USERS)}.")
        try:
            key = serialization.load_pem_public_key(Path(path).read_bytes())
        except OSError as error:
            raise PipelineError(f"--public-key {option}: cannot read {path}: {error.strerror}.") from None
        except ValueError:
            raise PipelineError(
                f"--public-key {option}: {path} is no public key; `openssl rsa -in key.p8 -pubout` makes it."
            ) from None
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        keys[role] = "".join(pem.decode().splitlines()[1:-1])
    return keys
