"""dbt's exposures as external assets at the end of the graph: who reads the reports.

dagster-dbt does not map exposures.
"""

from collections.abc import Sequence

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.translator import domain_tag

CONSUMERS_GROUP = "consumers"


def build_consumer_specs(project: DbtProject) -> Sequence[dg.AssetSpec]:
    """One external asset per exposure, downstream of the models that it reads, keyed ["consumers", name]."""
    manifest = read_manifest(project.manifest_path)
    return [
        dg.AssetSpec(
            key=dg.AssetKey([CONSUMERS_GROUP, exposure.name]),
            deps=[dg.AssetKey(manifest.table(parent).key) for parent in exposure.parents],
            group_name=CONSUMERS_GROUP,
            description=exposure.description,
            owners=[f"team:{exposure.owner}"],
            kinds={exposure.type},
            tags={"layer": CONSUMERS_GROUP, **domain_tag(manifest.domains_of(*exposure.parents))},
        )
        for exposure in manifest.exposures
    ]
