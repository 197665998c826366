"""The whole examination: everything that a run needs, in the order in which it needs it.

Changes nothing, and never shows a secret.
"""

import platform
from importlib.metadata import version

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Deployment, Settings
from dvd_rental_pipeline.doctor import aws, local, production
from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health


def examine() -> list[Diagnosis]:
    """Examine Python, settings, and what this deployment uses."""
    found = [_python()]
    try:
        settings = Settings.load()
    except PipelineError as error:
        return [*found, Diagnosis(Health.BAD, "settings", str(error), "fix the setting, then run doctor again")]
    found.append(_settings(settings))
    found.extend(local.examine_home(settings))
    if settings.deployment is Deployment.LOCAL:
        found.extend(local.examine_source(settings))
        found.append(local.examine_warehouse(settings))
    else:
        found.extend(production.examine_capture(settings))
        found.extend(production.examine_airbyte(settings))
        found.extend(production.examine_snowflake(settings))
    found.extend(aws.examine_aws(settings))
    return found


def _python() -> Diagnosis:
    found = f"Python {platform.python_version()}, dagster {version('dagster')}, dbt {version('dbt-core')}"
    return Diagnosis(Health.GOOD, "Python", found)


def _settings(settings: Settings) -> Diagnosis:
    env_file = PROJECT_ROOT / ".env"
    origin = f"the environment and {env_file}" if env_file.exists() else "the environment; there is no .env"
    found = f"deployment `{settings.deployment.value}`, from {origin}"
    return Diagnosis(Health.GOOD, "settings", found)
