"""Which assets a run builds: Dagster's selection syntax, resolved on the graph."""

import warnings
from collections.abc import Sequence

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.runs.asset_names import AssetNames, in_quotes, shortened


def asset_names(definitions: dg.Definitions) -> AssetNames:
    """The names of all assets of `definitions`."""
    graph = definitions.resolve_asset_graph()
    return AssetNames(
        keys=sorted(key.to_user_string() for key in graph.get_all_asset_keys()),
        groups=sorted({node.group_name for node in graph.asset_nodes}),
    )


def select_assets(
    definitions: dg.Definitions, selection: str | None, default_job: str | None = None
) -> Sequence[dg.AssetKey]:
    """The executable assets of `selection`, sorted; without one, those of `default_job`, or else all.

    A selection is the name of an asset or an expression in Dagster's syntax.

    Raises:
        PipelineError: the selection cannot be parsed, or selects nothing that can be run.
    """
    graph = definitions.resolve_asset_graph()
    if selection is None:
        if default_job is None:
            return sorted(graph.executable_asset_keys)
        return sorted(definitions.resolve_job_def(default_job).asset_layer.executable_asset_keys)
    selection = asset_names(definitions).expand(selection)
    try:
        with warnings.catch_warnings():
            # Dagster's own parsing of `group:` uses a parameter that is in beta.
            warnings.simplefilter("ignore", dg.BetaWarning)
            keys = dg.AssetSelection.from_string(selection).resolve(graph)
    except (dg.DagsterError, ValueError, RecursionError) as error:
        # Dagster's message quotes the selection, too.
        raise PipelineError(
            f"Cannot parse the selection {in_quotes(selection)}: {shortened(str(error))}"
        ) from error
    executable = sorted(keys & graph.executable_asset_keys)
    if not executable:
        raise PipelineError(
            f"The selection {in_quotes(selection)} selects nothing that can be run. Try `group:marts`, "
            '`key:"marts/fct_rental"` or `+key:"reports/top_films"`.'
        )
    return executable
