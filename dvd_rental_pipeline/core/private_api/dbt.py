"""Private names of dagster-dbt. Importing them loads dagster-dbt, which takes seconds.

Two more private members cannot be imported, since a class overrides them: `DbtCliResource._cli_version` and
`._initialize_dbt_core_adapter`, for which dagster-dbt has no setting.
"""

# No public alternative: the metadata of assets and checks that has the id of the dbt node.
from dagster_dbt.asset_utils import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY

__all__ = ["DAGSTER_DBT_UNIQUE_ID_METADATA_KEY"]
