"""`dvd-rental-dbt`: dbt as a program of this project, with time limits for its sessions with Snowflake.

The profile of dbt-snowflake has no such option, and without limits the connector repeats a request that fails
with HTTP 500 forever.
"""

import functools
import os
import sys
import warnings

from dvd_rental_pipeline.core.program import run_program

SNOWFLAKE_TARGETS = ("branch", "production")
"""The targets of profiles.yml that are in Snowflake."""


def main() -> None:
    """Run dbt with the arguments of this process, and end with its exit code."""
    run_program(_run_dbt)


def _run_dbt() -> None:
    # Other targets need neither the settings nor the connector, which take half a second to import.
    if any(named.endswith(SNOWFLAKE_TARGETS) for named in (*sys.argv, os.environ.get("DBT_TARGET", ""))):
        _limit_sessions()
    import dbt.cli.main  # noqa: PLC0415

    dbt.cli.main.cli()


def _limit_sessions() -> None:
    from dvd_rental_pipeline.core.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    with warnings.catch_warnings():
        # The connector's own copy of `requests` warns of packages that it does not use.
        warnings.simplefilter("ignore")
        import snowflake.connector  # noqa: PLC0415

    snowflake.connector.connect = functools.partial(  # type: ignore[assignment]
        snowflake.connector.connect,
        login_timeout=settings.snowflake_login_timeout,
        network_timeout=settings.snowflake_statement_timeout,
    )


if __name__ == "__main__":
    main()
