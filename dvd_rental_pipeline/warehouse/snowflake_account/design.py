"""The objects and grants that the pipelines need in a Snowflake account, as statements that can be repeated.

Roles:

- LOADER writes the raw tables and reads nothing else. For Airbyte.
- TRANSFORMER reads the raw tables, writes every layer, and creates schemas for branches. For dbt and Dagster.
- REPORTER reads marts and reports, personal columns masked. For dashboards and people. In the Standard edition,
  which has no masking policies, it reads only the views of them without the personal columns.
- PII_READER reads what REPORTER reads, personal columns unmasked.

No other role has access. The schemas have managed access: the owner of a table cannot grant it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.warehouse.snowflake_account.spending import default_credits

LAYERS = ("STAGING", "SNAPSHOTS", "MARTS", "REPORTS")
REPORTED = ("MARTS", "REPORTS")
GOVERNANCE = "GOVERNANCE"
POLICY = "PERSONAL_TEXT"
SALT = "PSEUDONYM_SALT"
NETWORK_POLICY = "DVD_RENTAL_CLIENTS"
LAKE = "LAKE"
STORAGE_INTEGRATION = "DVD_RENTAL_LAKE"
# Loads go through it, see `snowflake_stage.ExternalStage`.
PROCESSED_STAGE = f"{LAKE}.PROCESSED"
# The virtual warehouse and the service user of each role.
WAREHOUSES = {"LOADER": "LOADING", "TRANSFORMER": "TRANSFORMING", "REPORTER": "REPORTING"}
USERS = {"LOADER": "AIRBYTE", "TRANSFORMER": "DVD_RENTAL_TRANSFORMER", "REPORTER": "DVD_RENTAL_REPORTER"}
# Properties of sessions that enter keys and dates, on each service user: an account may have other defaults.
SESSION_PARAMETERS = {
    "timezone": "'UTC'",
    "week_start": "1",
    "timestamp_type_mapping": "'TIMESTAMP_NTZ'",
    "timestamp_ntz_output_format": "'YYYY-MM-DD HH24:MI:SS.FF3'",
}
_MONITORING = (
    "frequency = monthly start_timestamp = immediately"
    " triggers on 80 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate"
)


@dataclass(frozen=True)
class AccountObject:
    """An object of the account, by its full name in upper case, e.g. `DVD_RENTALS.MARTS`."""

    kind: str
    name: str


@dataclass(frozen=True)
class Grant:
    """One privilege of a role; with `future`, on every `kind` that will be created in the schema `name`."""

    privilege: str
    kind: str
    name: str
    grantee: str
    future: bool = False


@dataclass(frozen=True)
class Statement:
    """A statement, the role that runs it, and its effect.

    A statement is skipped if the object that it `creates` and its `grants` exist. One with neither sets a
    property to its value, and runs each time. `needs` are the objects that must exist before.
    """

    sql: str
    role: str
    creates: AccountObject | None = None
    grants: tuple[Grant, ...] = ()
    needs: tuple[AccountObject, ...] = ()

    @property
    def is_repeated(self) -> bool:
        """Whether it runs each time."""
        return self.creates is None and not self.grants


@dataclass(frozen=True)
class Account:
    """The design of one account.

    `raw_schemas` are the schemas of raw tables, one per replicated domain; `loaded_schemas` those whose tables
    Dagster loads from files. `public_keys` are the public keys of
    service users by role: the body of the PEM, in one line. A role without one gets no user. `credits` are the
    limits of spending in a month, by virtual warehouse. `allowed_ips` are addresses or CIDR ranges; without any
    there is no network policy. Without `has_policies`, as in the Standard edition, no policy masks columns.
    With `storage_role`, the ARN of an AWS role, Snowflake reads `buckets` as external stages: S3 URLs by the
    name of the stage, of which PROCESSED is one.
    """

    raw_schemas: Sequence[str]
    database: str = "DVD_RENTALS"
    public_keys: Mapping[str, str] = field(default_factory=dict)
    credits: Mapping[str, int] = field(default_factory=default_credits)
    allowed_ips: Sequence[str] = ()
    has_policies: bool = True
    loaded_schemas: Sequence[str] = ()
    storage_role: str | None = None
    buckets: Mapping[str, str] = field(default_factory=dict)

    def statements(self) -> Sequence[Statement]:
        """All statements, in an order in which the objects that each needs exist."""
        return [
            *self._roles(),
            *self._warehouses(),
            *self._schemas(),
            *(self._policy() if self.has_policies else ()),
            *self._loader(),
            *self._transformer(),
            *self._reporter(),
            *(self._lake() if self.storage_role else ()),
            *self._users(),
        ]

    def clone_branch(self, branch: str) -> Sequence[str]:
        """Create a branch's schemas as clones of production's; a clone costs nothing until it changes."""
        return [
            f"create schema if not exists {self.database}.{branch}_{layer} clone {self.database}.{layer}"
            for layer in LAYERS
        ]

    def drop_branch(self, branch: str) -> Sequence[str]:
        """Drop the schemas of a branch."""
        return [f"drop schema if exists {self.database}.{branch}_{layer}" for layer in LAYERS]

    @property
    def _raw(self) -> Sequence[str]:
        return [schema.upper() for schema in self.raw_schemas]

    @property
    def _loaded(self) -> Sequence[str]:
        return [schema.upper() for schema in self.loaded_schemas]

    def _roles(self) -> Iterator[Statement]:
        for role in (*WAREHOUSES, "PII_READER"):
            yield Statement(
                f"create role if not exists {role}", "USERADMIN", creates=AccountObject("ROLE", role)
            )
            yield self._grant_role(role, "ROLE", "SYSADMIN")
        yield self._grant_role("REPORTER", "ROLE", "PII_READER")

    def _warehouses(self) -> Iterator[Statement]:
        for role, warehouse in WAREHOUSES.items():
            created = AccountObject("WAREHOUSE", warehouse)
            # One monitor each: loading must not suspend reporting.
            monitor = AccountObject("RESOURCE MONITOR", f"DVD_RENTAL_{warehouse}")
            quota = f"credit_quota = {self.credits[warehouse]}"
            yield Statement(
                f"create resource monitor if not exists {monitor.name} with {quota} {_MONITORING}",
                "ACCOUNTADMIN",
                creates=monitor,
            )
            yield Statement(
                f"alter resource monitor {monitor.name} set {quota}", "ACCOUNTADMIN", needs=(monitor,)
            )
            # The smallest size runs every model in seconds, and a minute is the least that is charged.
            properties = "warehouse_size = 'XSMALL' auto_suspend = 60 statement_timeout_in_seconds = 3600"
            yield Statement(
                f"create warehouse if not exists {warehouse} with {properties} initially_suspended = true",
                "SYSADMIN",
                creates=created,
            )
            yield Statement(f"alter warehouse {warehouse} set {properties}", "SYSADMIN", needs=(created,))
            yield Statement(
                f"alter warehouse {warehouse} set resource_monitor = {monitor.name}",
                "ACCOUNTADMIN",
                needs=(created, monitor),
            )
            yield self._grant(("USAGE",), "WAREHOUSE", warehouse, role)

    def _schemas(self) -> Iterator[Statement]:
        database = AccountObject("DATABASE", self.database)
        yield Statement(f"create database if not exists {self.database}", "SYSADMIN", creates=database)
        for schema in (*self._raw, *self._loaded, *LAYERS, GOVERNANCE):
            yield Statement(
                f"create schema if not exists {self.database}.{schema} with managed access",
                "SYSADMIN",
                creates=AccountObject("SCHEMA", f"{self.database}.{schema}"),
                needs=(database,),
            )

    def _policy(self) -> Iterator[Statement]:
        policy = f"{self.database}.{GOVERNANCE}.{POLICY}"
        # dbt's role sees the values, or it would build reports from masked ones.
        salt = AccountObject("TABLE", f"{self.database}.{GOVERNANCE}.{SALT}")
        body = (
            "case when is_role_in_session('PII_READER') or is_role_in_session('TRANSFORMER') then value"
            f" else sha2(concat((select max(salt) from {salt.name}), value)) end"
        )
        created = AccountObject("MASKING POLICY", policy)
        schema = AccountObject("SCHEMA", f"{self.database}.{GOVERNANCE}")
        # Without a salt, pseudonyms of phone numbers can be looked up in a dictionary. It never leaves the
        # account; only the owner of the policy can read it.
        yield Statement(
            f"create table if not exists {salt.name} (salt varchar)", "SYSADMIN", creates=salt, needs=(schema,)
        )
        yield Statement(
            f"insert into {salt.name} (salt) select concat(uuid_string(), uuid_string())"
            f" where not exists (select salt from {salt.name})",
            "SYSADMIN",
            needs=(salt,),
        )
        yield Statement(
            f"create masking policy if not exists {policy} as (value varchar) returns varchar -> {body}",
            "SYSADMIN",
            creates=created,
            needs=(schema, salt),
        )
        yield Statement(f"alter masking policy {policy} set body -> {body}", "SYSADMIN", needs=(created,))
        yield self._grant(("USAGE",), "SCHEMA", schema.name, "TRANSFORMER")
        yield self._grant(("APPLY",), "MASKING POLICY", policy, "TRANSFORMER")

    def _loader(self) -> Iterator[Statement]:
        # Besides the raw schemas, Airbyte creates one for its staging tables.
        yield self._grant(("USAGE", "CREATE SCHEMA"), "DATABASE", self.database, "LOADER")
        for schema in self._raw:
            yield self._grant(
                ("USAGE", "CREATE TABLE", "CREATE VIEW", "CREATE STAGE"),
                "SCHEMA",
                f"{self.database}.{schema}",
                "LOADER",
            )

    def _transformer(self) -> Iterator[Statement]:
        # For the cost report: what the statements of each asset have cost.
        yield Statement(
            "grant database role snowflake.usage_viewer to role TRANSFORMER",
            "ACCOUNTADMIN",
            needs=(AccountObject("ROLE", "TRANSFORMER"),),
        )
        # CREATE SCHEMA is for branches, which build beside production.
        yield self._grant(("USAGE", "CREATE SCHEMA"), "DATABASE", self.database, "TRANSFORMER")
        for schema in self._raw:
            yield self._grant(("USAGE",), "SCHEMA", f"{self.database}.{schema}", "TRANSFORMER")
            yield from self._grant_select(schema, "TRANSFORMER", ("TABLE",))
        for layer in LAYERS:
            yield self._grant(
                ("USAGE", "CREATE TABLE", "CREATE VIEW"), "SCHEMA", f"{self.database}.{layer}", "TRANSFORMER"
            )
        for schema in self._loaded:
            # A load goes through a temporary stage in the schema of its table.
            yield self._grant(
                ("USAGE", "CREATE TABLE", "CREATE STAGE"), "SCHEMA", f"{self.database}.{schema}", "TRANSFORMER"
            )

    def _reporter(self) -> Iterator[Statement]:
        yield self._grant(("USAGE",), "DATABASE", self.database, "REPORTER")
        for layer in REPORTED:
            yield self._grant(("USAGE",), "SCHEMA", f"{self.database}.{layer}", "REPORTER")
            # Without policies, tables show their personal columns; the views of the models leave them out.
            kinds = ("TABLE", "VIEW") if self.has_policies else ("VIEW",)
            yield from self._grant_select(layer, "REPORTER", kinds)
            if not self.has_policies:
                yield from self._grant_select(layer, "PII_READER", ("TABLE",))

    def _lake(self) -> Iterator[Statement]:
        """External stages on the buckets, read by an AWS role: no key of AWS is stored in Snowflake."""
        integration = AccountObject("STORAGE INTEGRATION", STORAGE_INTEGRATION)
        # With a slash, so that a bucket whose name begins alike is not allowed.
        urls = {stage: f"{url.rstrip('/')}/" for stage, url in self.buckets.items()}
        locations = ", ".join(f"'{url}'" for url in urls.values())
        access = f"storage_aws_role_arn = '{self.storage_role}' storage_allowed_locations = ({locations})"
        yield Statement(
            f"create storage integration if not exists {integration.name} type = external_stage"
            f" storage_provider = 'S3' enabled = true {access}",
            "ACCOUNTADMIN",
            creates=integration,
        )
        # Altering it keeps the identity that the trust policy of the AWS role names; replacing it would not.
        yield Statement(
            f"alter storage integration {integration.name} set enabled = true {access}",
            "ACCOUNTADMIN",
            needs=(integration,),
        )
        yield Statement(
            f"grant usage on integration {integration.name} to role SYSADMIN",
            "ACCOUNTADMIN",
            grants=(Grant("USAGE", "INTEGRATION", integration.name, "SYSADMIN"),),
            needs=(integration,),
        )
        schema = AccountObject("SCHEMA", f"{self.database}.{LAKE}")
        yield Statement(
            f"create schema if not exists {schema.name} with managed access",
            "SYSADMIN",
            creates=schema,
            needs=(AccountObject("DATABASE", self.database),),
        )
        yield self._grant(("USAGE",), "SCHEMA", schema.name, "TRANSFORMER")
        for name, url in urls.items():
            stage = AccountObject("STAGE", f"{schema.name}.{name}")
            properties = f"url = '{url}' storage_integration = {integration.name}"
            yield Statement(
                f"create stage if not exists {stage.name} {properties}"
                " file_format = (type = parquet use_logical_type = true)",
                "SYSADMIN",
                creates=stage,
                needs=(schema, integration),
            )
            yield Statement(f"alter stage {stage.name} set {properties}", "SYSADMIN", needs=(stage,))
            yield self._grant(("USAGE",), "STAGE", stage.name, "TRANSFORMER")

    def _users(self) -> Iterator[Statement]:
        for role, key in self.public_keys.items():
            user = AccountObject("USER", USERS[role])
            yield Statement(
                f"create user if not exists {user.name} type = service default_role = {role}"
                f" default_warehouse = {WAREHOUSES[role]} rsa_public_key = '{key}'",
                "USERADMIN",
                creates=user,
            )
            yield Statement(f"alter user {user.name} set rsa_public_key = '{key}'", "USERADMIN", needs=(user,))
            parameters = " ".join(f"{name} = {value}" for name, value in SESSION_PARAMETERS.items())
            yield Statement(f"alter user {user.name} set {parameters}", "USERADMIN", needs=(user,))
            yield self._grant_role(role, "USER", user.name)
        if self.allowed_ips:
            policy = AccountObject("NETWORK POLICY", NETWORK_POLICY)
            addresses = ", ".join(f"'{address}'" for address in self.allowed_ips)
            yield Statement(
                f"create network policy if not exists {policy.name} allowed_ip_list = ({addresses})",
                "SECURITYADMIN",
                creates=policy,
            )
            yield Statement(
                f"alter network policy {policy.name} set allowed_ip_list = ({addresses})",
                "SECURITYADMIN",
                needs=(policy,),
            )
            for role in self.public_keys:
                # Only for the service users: other users of the account are not restricted.
                yield Statement(
                    f"alter user {USERS[role]} set network_policy = {policy.name}",
                    "SECURITYADMIN",
                    needs=(policy, AccountObject("USER", USERS[role])),
                )

    def _grant_role(self, role: str, kind: str, grantee: str) -> Statement:
        return Statement(
            f"grant role {role} to {kind.lower()} {grantee}",
            "SECURITYADMIN",
            grants=(Grant("USAGE", "ROLE", role, grantee),),
            needs=(AccountObject("ROLE", role), AccountObject(kind, grantee)),
        )

    def _grant(self, privileges: tuple[str, ...], kind: str, name: str, role: str) -> Statement:
        return Statement(
            f"grant {', '.join(privileges).lower()} on {kind.lower()} {name} to role {role}",
            "SECURITYADMIN",
            grants=tuple(Grant(privilege, kind, name, role) for privilege in privileges),
            needs=(AccountObject(kind, name), AccountObject("ROLE", role)),
        )

    def _grant_select(self, schema: str, role: str, kinds: Sequence[str]) -> Iterator[Statement]:
        """SELECT on existing and on future objects in `schema`: dbt and Airbyte replace tables.

        The grant on existing ones runs each time: a future grant does not reach a table that was swapped in
        from another schema, as by Airbyte's refreshes below destination-snowflake 4.0.47.
        """
        name = f"{self.database}.{schema}"
        needs = (AccountObject("SCHEMA", name), AccountObject("ROLE", role))
        for kind in kinds:
            grant = f"{kind.lower()}s in schema {name} to role {role}"
            yield Statement(f"grant select on all {grant}", "SECURITYADMIN", needs=needs)
            yield Statement(
                f"grant select on future {grant}",
                "SECURITYADMIN",
                grants=(Grant("SELECT", kind, name, role, future=True),),
                needs=needs,
            )


def read_public_keys(options: Sequence[str]) -> Mapping[str, str]:
    """The public keys of options `ROLE=FILE`, by role, as Snowflake stores them.

    Raises:
        PipelineError: the role is unknown, or the file contains no public key.
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
                f"--public-key {option}: {path} is not a public key: `openssl rsa -in key.p8 -pubout`."
            ) from None
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        keys[role] = "".join(pem.decode().splitlines()[1:-1])
    return keys


def read_credits(options: Sequence[str]) -> Mapping[str, int]:
    """The limits of options `WAREHOUSE=N`, by virtual warehouse.

    Raises:
        PipelineError: the virtual warehouse is unknown, or the limit is not a positive number.
    """
    limits = {}
    for option in options:
        warehouse, _, limit = option.partition("=")
        if warehouse not in WAREHOUSES.values() or not limit.isdigit() or int(limit) == 0:
            raise PipelineError(
                f"--credits {option}: give WAREHOUSE=N, one of {', '.join(WAREHOUSES.values())}."
            )
        limits[warehouse] = int(limit)
    return limits
