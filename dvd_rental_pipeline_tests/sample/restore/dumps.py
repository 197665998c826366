"""Dumps of test databases."""

import subprocess
from pathlib import Path

from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres


def dump(postgres: EmbeddedPostgres, url: str, path: Path, *options: str) -> Path:
    """Dump the database at `url` with pg_dump into `path`, and return it."""
    subprocess.run([postgres.binaries.folder / "pg_dump", *options, "--file", path, url], check=True)
    return path
