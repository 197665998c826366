"""Servers of their own for tests: copies of one that is created once per session; `initdb` takes a second."""

import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.build_once import build_once


def copy_created_server(shared: Path, folder: Path, binaries: PostgresBinaries | None = None) -> Path:
    """Return `folder`, to which a stopped server with an empty database has been copied.

    `shared` is the folder of the session that keeps the original, one per version.
    """
    binaries = binaries or PostgresBinaries.find()

    def create(parent: Path) -> None:
        server = EmbeddedPostgres(parent / "postgres", binaries=binaries)
        with server.lease() as url, psycopg.connect(url, autocommit=True) as admin:
            if binaries.major >= 16:
                # Tests log in thousands of times, which takes five times as long with PostgreSQL's default.
                admin.execute("alter system set scram_iterations = 1")
                admin.execute("set scram_iterations = 1")
                passwords = Path(str(conninfo_to_dict(url)["passfile"])).read_text().splitlines()
                (password,) = {line.rpartition(":")[2] for line in passwords}
                admin.execute(sql.SQL("alter role current_user password {}").format(password))
        server.stop()
        # Another copy may use it.
        (parent / "postgres" / "port").unlink()

    parent = build_once(shared / f"postgres-{binaries.version}", create)
    folder.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.which("cp") or "cp"
    subprocess.run([copy, "-a", parent / "postgres", folder], check=True)
    return folder
