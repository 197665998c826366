"""The dbt project as dagster-dbt describes it, with a current manifest."""

from dagster_dbt import DbtProject

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings
from dvd_rental_pipeline.transform.parsing import update_manifest


def load_dbt_project(settings: Settings) -> DbtProject:
    """The dbt project, with a manifest that is as new as the project's files.

    Raises:
        DbtProjectError: dbt cannot parse the project; the message contains dbt's.
        UnwritableFolderError: the manifest cannot be written.
    """
    update_manifest(settings)
    return DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=settings.dbt_target_dir,
        profiles_dir=DBT_PROJECT_DIR,
        target=settings.dbt_target,
    )
