"""Password logins to the embedded server, which otherwise accepts one role only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def password_logins(admin: psycopg.Connection) -> Iterator[None]:
    """Let every role of the server log in with its password, within the `with` block."""
    (path,) = admin.execute("show hba_file").fetchone() or ("",)
    hba_file = Path(path)
    before = hba_file.read_text()
    rules = "".join(f"host {kind} all 127.0.0.1/32 scram-sha-256\n" for kind in ("all", "replication"))
    hba_file.write_text(before + rules)
    admin.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        hba_file.write_text(before)
        admin.execute("select pg_reload_conf()")
