"""`dvd-rental-dbt`: dbt with time limits for its sessions with Snowflake.

The profile of dbt-snowflake has no such option, and without limits the connector repeats a request that fails
with HTTP 500 forever.
"""

import functools
import sys
import warnings

from dvd_rental_pipeline.core.settings import Settings


def main() -> None:
    """Run dbt with the arguments of this process, and exit with its exit code."""
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
    from dbt.cli.main import cli  # noqa: PLC0415

    sys.exit(cli())


if __name__ == "__main__":
    main()
