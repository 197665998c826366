"""Private names of dagster-dbt. Importing them loads dagster-dbt, which takes seconds."""

from collections.abc import Sequence
from importlib.metadata import version

from dagster_dbt import DbtCliResource

# No public alternative: the metadata of assets and checks that has the id of the dbt node.
from dagster_dbt.asset_utils import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY
from packaging.version import Version

__all__ = ["DAGSTER_DBT_UNIQUE_ID_METADATA_KEY", "LightDbtCliResource"]


class LightDbtCliResource(DbtCliResource):
    """dagster-dbt's resource without the work before each start of dbt, for which it has no setting."""

    @property
    def _cli_version(self) -> Version:
        """The version of the installed package; dagster-dbt runs `dbt --version`, which takes three seconds."""
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        """Create no adapter in this process: only `fetch_row_counts()` and its like need one, unused here.

        They query from threads, in which an interrupt ends in a deadlock; and creating the adapter ignores
        interrupts.
        """
