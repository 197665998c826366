"""dbt as it is, except that its sessions with Snowflake end in bounded time: `dvd-rental-dbt build`, and so on.

The profile of dbt-snowflake knows no limit, and without one the connector makes a request that fails with HTTP
500 again for ever.
"""

import functools
import sys
import warnings

from dvd_rental_pipeline.core.settings import Settings


def main() -> None:
    """Run dbt with the arguments of this process, and exit as it does."""
    settings = Settings.load()
    with warnings.catch_warnings():
        # The connector's own copy of `requests` complains of packages beside it that it does not use.
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
