"""The scripts of Dagster's migrations, read once per process.

Dagster asks Alembic for them for each storage that it creates or opens, and Alembic imports all of them each
time. That takes a tenth of a second, and the tests open thousands of storages.
"""

from alembic.config import Config
from alembic.script import ScriptDirectory


def share_migrations() -> None:
    """Let all storages of this process, and of its forks, use the same scripts."""
    read = ScriptDirectory.from_config
    known: dict[tuple[str | None, str | None], ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        key = config.config_file_name, config.get_main_option("script_location")
        if key not in known:
            known[key] = read(config)
        return known[key]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign,assignment]
