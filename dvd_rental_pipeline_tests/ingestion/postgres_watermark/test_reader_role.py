"""The printed role reads the tables, sees late commits, and writes nothing."""

import secrets
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.ingestion.postgres_watermark.ingest import ingest
from dvd_rental_pipeline.ingestion.postgres_watermark.reader_role import reader_role_sql
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.sample.totesys.generate import generate


def test_printed_role_can_ingest_and_cannot_write(database_url: str, tmp_path: Path) -> None:
    generate(database_url, scale=0.001)
    role = f'reader "{secrets.token_hex(4)}'
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in reader_role_sql(TOTESYS, owner.info.dbname, role):
            owner.execute(statement)  # type: ignore[call-overload]
        try:
            can_log_in = owner.execute("select rolcanlogin from pg_roles where rolname = %s", [role]).fetchall()
            # The embedded server admits only its own role: sessions assume the new one when they begin.
            url = psycopg.conninfo.make_conninfo(
                database_url, options=f"-c role={role.replace(' ', chr(92) + ' ')}"
            )
            run = ingest(url, TOTESYS, LandingZone(FolderStore(tmp_path), TOTESYS.name))
            for statement in ("delete from sales_order", "select * from _prisma_migrations"):
                with psycopg.connect(url) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(statement)  # type: ignore[call-overload]
        finally:
            quoted = psycopg.sql.Identifier(role)
            owner.execute(psycopg.sql.SQL("drop owned by {}").format(quoted))
            owner.execute(psycopg.sql.SQL("drop role {}").format(quoted))
    assert can_log_in == [(True,)]
    assert run.sees_other_sessions
    assert run.tables["sales_order"].rows > 0
