"""The Dagster resource that runs dbt."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dagster import InitResourceContext
from dagster_dbt import DbtCliInvocation, DbtCliResource, DbtProject
from pydantic import PrivateAttr

from dvd_rental_pipeline.core.private_api.dbt import LightDbtCliResource
from dvd_rental_pipeline.transform.dbt_output import end
from dvd_rental_pipeline.transform.parsing import dbt_executable


class InstalledDbt(LightDbtCliResource):
    """Runs the dbt of this environment; none outlives the step that started it."""

    _started: list[DbtCliInvocation] = PrivateAttr(default_factory=list)

    def cli(self, args: Sequence[str], **options: Any) -> DbtCliInvocation:
        """Start dbt."""
        invocation = super().cli(args, **options)
        self._started.append(invocation)
        return invocation

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Self]:
        """End every dbt with the step: an interrupt may come while Dagster stores an event.

        dbt adds the run's id to the query tag of its statements.
        """
        if context.run is not None:
            os.environ["DAGSTER_DBT_RUN_ID"] = context.run.run_id
        try:
            with super().yield_for_execution(context) as resource:
                yield resource
        finally:
            for invocation in self._started:
                end(invocation)


def build_dbt_resource(project: DbtProject) -> DbtCliResource:
    """The resource for `project`."""
    return InstalledDbt(
        project_dir=project,  # type: ignore[arg-type]
        dbt_executable=dbt_executable(),
        # Its messages are shown in the UI and in files, where escape sequences are noise. Its debug messages
        # would be in a file that is deleted with its artifacts, and take a twentieth of its time.
        global_config_flags=["--no-use-colors", "--log-level-file", "none"],
    )
