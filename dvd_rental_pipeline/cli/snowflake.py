"""`dvd-rental snowflake ...`: the account, as its administrator sets it up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
    from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession

app = typer.Typer(no_args_is_help=True, help="The Snowflake account, which an administrator sets up.")

AdminUser = Annotated[str | None, typer.Option("--user", help="Log in as this user instead of the pipeline's.")]
AdminKey = Annotated[Path | None, typer.Option("--private-key", help="Private key file of that user.")]
PublicKeys = Annotated[
    list[str] | None,
    typer.Option("--public-key", help="ROLE=FILE: make the service user of a role, e.g. LOADER=airbyte.pub."),
]
Credits = Annotated[int, typer.Option("--credits", min=1, help="Credits a month for all warehouses.")]
AllowedIps = Annotated[
    list[str] | None, typer.Option("--allow-ip", help="Address or CIDR range that the service users come from.")
]


@app.command()
def plan(
    public_key: PublicKeys = None,
    spend: Credits = 30,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Print the SQL that the account lacks; all of it when the account cannot be read. Changes nothing."""
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.snowflake_account import difference

    account = _account(settings, public_key, spend, allow_ip)
    try:
        with _administrator(settings, user, private_key) as session:
            plan = difference.compare(account, session)
    except PipelineError as error:
        messages.print(f"[bold yellow]All of it, as the account cannot be read.[/] {escape(str(error))}")
        plan = difference.whole(account)
    print(difference.script(plan.missing))
    if plan.repeated:
        messages.print(
            f"{len(plan.missing)} statements are missing. `apply` also sets {len(plan.repeated)} properties to "
            "their values, whatever they are."
        )


@app.command()
def apply(
    public_key: PublicKeys = None,
    spend: Credits = 30,
    allow_ip: AllowedIps = None,
    user: AdminUser = None,
    private_key: AdminKey = None,
) -> None:
    """Make what the account lacks. Needs the role ACCOUNTADMIN; to run it again is harmless."""
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.snowflake_account import difference

    account = _account(settings, public_key, spend, allow_ip)
    with progress() as tell, _administrator(settings, user, private_key) as session:
        made = difference.apply(account, session, tell)
    messages.print(f"The account is as it should be: {made} statements were missing.")


@app.command("clone-branch")
def clone_branch(
    branch: Annotated[str, typer.Argument(help="What its schemas begin with, e.g. my_change.")],
    drop: Annotated[bool, typer.Option("--drop", help="Take the schemas away instead.")] = False,
) -> None:
    """Begin a branch's schemas as clones of production's, without copying data."""
    settings = Settings.load()
    from dvd_rental_pipeline.core.settings import schema_prefix
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
    from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
    from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake

    account = Account(settings.snowflake_database)
    prefix = schema_prefix(branch)
    statements = account.drop_branch(prefix) if drop else account.clone_branch(prefix)
    with (
        progress() as tell,
        open_snowflake(SnowflakeLogin.from_settings(settings), {"command": "branch"}) as session,
    ):
        for statement in statements:
            tell(statement)
            session.execute(statement)
    messages.print(f"{len(statements)} schemas of `{prefix}` were {'dropped' if drop else 'cloned'}.")


def _account(
    settings: Settings, public_keys: list[str] | None, spend: int, allowed_ips: list[str] | None
) -> "Account":
    from dvd_rental_pipeline.warehouse.snowflake_account.design import Account, read_public_keys

    return Account(
        database=settings.snowflake_database.upper(),
        public_keys=read_public_keys(public_keys or []),
        credits=spend,
        allowed_ips=allowed_ips or [],
    )


@contextmanager
def _administrator(
    settings: Settings, user: str | None, private_key: Path | None
) -> Iterator["SnowflakeSession"]:
    """A session of an administrator, who may come before there is a database or a warehouse."""
    from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
    from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake

    given: dict[str, object] = {"snowflake_role": "ACCOUNTADMIN"}
    if user is not None:
        given["snowflake_user"] = user
    if private_key is not None:
        given |= {"snowflake_private_key_path": private_key, "snowflake_private_key": None}
        if private_key.is_file() and b"ENCRYPTED" not in private_key.read_bytes():
            # The passphrase of the settings is that of the pipeline's own key.
            given["snowflake_private_key_passphrase"] = None
    login = SnowflakeLogin.from_settings(settings.model_copy(update=given))
    with open_snowflake(replace(login, database=None), {"command": "set-up"}) as session:
        yield session
