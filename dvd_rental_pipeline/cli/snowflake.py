"""`dvd-rental snowflake ...`: the set-up of the account, by its administrator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
    from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession

app = typer.Typer(no_args_is_help=True, help="The Snowflake account, which an administrator sets up.")

AdminUser = Annotated[str | None, typer.Option("--user", help="Log in as this user instead of the pipeline's.")]
AdminKey = Annotated[Path | None, typer.Option("--private-key", help="Private key file of that user.")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="ROLE=FILE: create the service user of a role, e.g. LOADER=airbyte.pub."),
]
Credits = Annotated[
    list[str] | None,
    typer.Option("--credits", help="WAREHOUSE=N: monthly limit of one warehouse, e.g. LOADING=200."),
]
SyncsPerDay = Annotated[
    int, typer.Option("--syncs-per-day", min=1, help="Syncs per day, for which the limits suffice.")
]
AllowedIps = Annotated[
    list[str] | None,
    typer.Option("--allow-ip", help="Address or CIDR range of the service users."),
]


@app.command()
def plan(
    *,
    public_key: PublicKeys = None,
    limits: Credits = None,
    syncs_per_day: SyncsPerDay = 96,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Print the SQL that the account lacks, or all of it if the account cannot be read. Changes nothing."""
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.snowflake_account import difference

    account = _account(settings, public_key, limits, syncs_per_day, allow_ip)
    try:
        with _administrator(settings, user, private_key) as session:
            plan = difference.compare(account, session)
    except PipelineError as error:
        messages.print(f"[bold yellow]The account cannot be read: the full plan.[/] {escape(str(error))}")
        plan = difference.full_plan(account)
    print(plan.script)
    _show_spending(account, syncs_per_day)
    messages.print(
        f"{len(plan.missing)} statements are missing. `apply` also sets {len(plan.repeated)} properties again."
    )


@app.command()
def apply(
    *,
    public_key: PublicKeys = None,
    limits: Credits = None,
    syncs_per_day: SyncsPerDay = 96,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Create what the account lacks. Needs the role ACCOUNTADMIN; repeating it is harmless."""
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.snowflake_account import difference

    account = _account(settings, public_key, limits, syncs_per_day, allow_ip)
    with progress() as report_progress, _administrator(settings, user, private_key) as session:
        missing = difference.apply(account, session, report_progress)
        identity = difference.storage_identity(session) if account.storage_role else None
    if identity is not None:
        messages.print(
            f"Snowflake reads the buckets as the role {account.storage_role}, whose trust policy must name "
            f'it. In Terraform: snowflake_reader = {{ user_arn = "{identity.user_arn}", external_id = '
            f'"{identity.external_id}" }}',
            markup=False,
            highlight=False,
        )
    messages.print(f"The account is set up: {missing} statements were missing.")


@app.command("clone-branch")
def clone_branch(
    branch: Annotated[str, typer.Argument(help="Prefix of its schemas, e.g. my_change.")],
    drop: Annotated[bool, typer.Option("--drop", help="Drop the schemas instead.")] = False,
) -> None:
    """Create a branch's schemas as clones of production's, without copying data."""
    settings = Settings.load()
    from dvd_rental_pipeline.core.settings import schema_prefix
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
    from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
    from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake

    account = Account(_raw_schemas(), settings.snowflake_database)
    prefix = schema_prefix(branch)
    statements = account.drop_branch(prefix) if drop else account.clone_branch(prefix)
    with (
        progress() as report_progress,
        open_snowflake(SnowflakeLogin.from_settings(settings), {"command": "branch"}) as session,
    ):
        for statement in statements:
            report_progress(statement)
            session.execute(statement)
    messages.print(f"{len(statements)} schemas of `{prefix}` were {'dropped' if drop else 'cloned'}.")


def _show_spending(account: "Account", syncs_per_day: int) -> None:
    from dvd_rental_pipeline.warehouse.snowflake_account.spending import workloads

    for workload in workloads(syncs_per_day):
        limit = account.credits[workload.warehouse]
        messages.print(f"{workload}. Its monitor suspends it at {limit}.")
        if limit < workload.credits:
            messages.print("[bold yellow]That is before the month ends: raise --credits.[/]")


def _account(
    settings: Settings,
    public_keys: list[str] | None,
    limits: list[str] | None,
    syncs_per_day: int,
    allowed_ips: list[str] | None,
) -> "Account":
    from dvd_rental_pipeline.core.setting_groups.snowflake import SnowflakeEdition
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account, read_credits, read_public_keys
    from dvd_rental_pipeline.warehouse.snowflake_account.spending import default_credits

    return Account(
        raw_schemas=_raw_schemas(),
        database=settings.snowflake_database.upper(),
        public_keys=read_public_keys(public_keys or []),
        credits={**default_credits(syncs_per_day), **read_credits(limits or [])},
        allowed_ips=allowed_ips or [],
        has_policies=settings.snowflake_edition is SnowflakeEdition.ENTERPRISE,
        loaded_schemas=_loaded_schemas(),
        storage_role=settings.snowflake_storage_role,
        buckets=_buckets(settings) if settings.snowflake_storage_role else {},
    )


def _buckets(settings: Settings) -> dict[str, str]:
    """The S3 URLs of the lake, by the name of their stage."""
    buckets = {"LANDING": settings.landing_location, "PROCESSED": settings.processed_location}
    for name, location in buckets.items():
        if not location.startswith("s3://"):
            raise SettingsError(
                f"DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE is set, and DVD_RENTAL_{name} is not on S3: set that to "
                "s3://BUCKET, or unset the role."
            )
    return buckets


def _raw_schemas() -> list[str]:
    from dvd_rental_pipeline.pipelines.registry import PIPELINES

    return [pipeline.domain.name for pipeline in PIPELINES]


def _loaded_schemas() -> list[str]:
    from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES

    return [schema for pipeline in ASSET_PIPELINES for schema in pipeline.loaded_schemas]


@contextmanager
def _administrator(
    settings: Settings, user: str | None, private_key: Path | None
) -> Iterator["SnowflakeSession"]:
    """A session of an administrator; the database and the virtual warehouse need not exist yet."""
    from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
    from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake

    changes: dict[str, object] = {"snowflake_role": "ACCOUNTADMIN"}
    if user is not None:
        changes["snowflake_user"] = user
    if private_key is not None:
        changes |= {"snowflake_private_key_path": private_key, "snowflake_private_key": None}
        if private_key.is_file() and b"ENCRYPTED" not in private_key.read_bytes():
            # The passphrase in the settings belongs to the pipeline's key.
            changes["snowflake_private_key_passphrase"] = None
    login = SnowflakeLogin.from_settings(settings.model_copy(update=changes))
    with open_snowflake(replace(login, database=None), {"command": "set-up"}) as session:
        yield session
