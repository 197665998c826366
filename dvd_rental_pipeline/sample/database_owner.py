"""The user of a database on the embedded server: a restored one is used by its owner, who is no superuser."""

from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.sample.postgres.server_config import RESTORE_ROLE, ROLE


def as_owner(url: str) -> str:
    """Return `url` with the owner as its user if the database was restored; otherwise unchanged.

    The functions and triggers of a dump run with the rights of the user who queries or changes its tables.
    `url` is that of a database, existing or not, on the embedded server, with the user who administers it. It
    is unchanged, too, if the server cannot be reached.
    """
    database = conninfo_to_dict(url)["dbname"]
    try:
        # Not the database itself, whose owner may have changed the settings of its sessions.
        with psycopg.connect(make_conninfo(url, dbname="postgres"), connect_timeout=10) as connection:
            query = "select pg_get_userbyid(datdba) from pg_database where datname = %s"
            owner = connection.execute(query, [database]).fetchone()
    except psycopg.OperationalError:
        return url
    if owner != (RESTORE_ROLE,):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f"{ROLE}@", f"{RESTORE_ROLE}@", 1)))
