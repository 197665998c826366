"""The dbt project, parsed once per session and target, by whichever worker of pytest-xdist needs it first.

Parsing takes ten times as long as most tests.
"""

import os
import pprint
import shutil
from functools import cache
from hashlib import sha256
from pathlib import Path
from unittest import mock

import msgpack
import yaml
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.graph.manifest import Manifest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Deployment, Settings
from dvd_rental_pipeline_tests.build_once import build_once
from dvd_rental_pipeline_tests.dbt_runner import run_dbt

PARTIAL_PARSE = "partial_parse.msgpack"
LAYERS = ("staging", "marts", "reports")


class ParsedProject:
    """The parsed project in a folder that the workers share."""

    def __init__(self, folder: Path, project_dir: Path = DBT_PROJECT_DIR) -> None:
        self.folder = folder
        self.project_dir = project_dir

    def target_path(self, target: str) -> Path:
        """The folder with dbt's `manifest.json` for `target`."""
        return build_once(self.folder / target, lambda folder: self._parse(target, folder))

    def manifest(self, target: str) -> Manifest:
        """A copy of the manifest, for one dbt command."""
        manifest: Manifest = Manifest.from_msgpack(_read(self.target_path(target) / PARTIAL_PARSE))
        return manifest

    def prepare(self, home: Path, deployment: Deployment = Deployment.LOCAL) -> Path:
        """Leave in `home` what its first command would: the parsed project. Returns `home`."""
        settings = Settings(home=home, deployment=deployment)
        settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
        parsed = self.target_path(settings.dbt_target)
        shutil.copy2(parsed / "manifest.json", settings.dbt_target_dir)
        if deployment is Deployment.LOCAL:
            shutil.copy2(parsed / PARTIAL_PARSE, settings.dbt_target_dir)
            _move_parse(settings.dbt_target_dir / PARTIAL_PARSE, self.folder, home)
        return home

    def _parse(self, target: str, target_path: Path) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DVD_RENTAL_")}
        with mock.patch.dict(os.environ, own, clear=True):
            parsed = run_dbt(
                "parse",
                "--target",
                target,
                target_path=target_path,
                environment={"DVD_RENTAL_HOME": str(self.folder)},
                project_dir=self.project_dir,
            )
        assert parsed.succeeded, parsed.stdout


def copy_models_of(pipeline: str, folder: Path) -> None:
    """Copy the dbt project into `folder`, with the models of one pipeline, which refer to no others.

    dbt parses it in a fraction of the time.
    """
    for file in DBT_PROJECT_DIR.glob("*.yml"):
        shutil.copy2(file, folder)
    for part in ("macros", "tests/generic", *(f"models/{layer}/{pipeline}" for layer in LAYERS)):
        shutil.copytree(DBT_PROJECT_DIR / part, folder / part)


@cache
def _read(file: Path) -> bytes:
    return file.read_bytes()


def _move_parse(file: Path, old_home: Path, new_home: Path) -> None:
    """Make the partial parse of `old_home` one of `new_home`; dbt compares the path of the warehouse."""
    content = msgpack.unpackb(file.read_bytes(), strict_map_key=False)
    profile = content["state_check"]["profile_hash"]
    assert profile["checksum"] == _profile_checksum(old_home), "dbt computes it in another way"
    profile["checksum"] = _profile_checksum(new_home)
    modified = file.stat().st_mtime_ns
    file.write_bytes(msgpack.packb(content))
    os.utime(file, ns=(modified, modified))


def _profile_checksum(home: Path) -> str:
    """As `ManifestLoader.build_manifest_state_check` of dbt computes it."""
    profiles = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    local = {**profiles["dvd_rental"]["outputs"]["local"], "path": str(home / "warehouse.duckdb")}
    credentials = DuckDBCredentials.from_dict(
        DuckDBCredentials.translate_aliases(
            {name: value for name, value in local.items() if name not in ("type", "threads")}
        )
    )
    return sha256(pprint.pformat(sorted(credentials.connection_info())).encode()).hexdigest()
