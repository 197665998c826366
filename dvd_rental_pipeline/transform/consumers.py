"""Who reads the reports: dbt's exposures as external assets at the end of the graph.

dagster-dbt leaves exposures out.
"""

import json
from collections.abc import Sequence

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.transform.assets import ModelTranslator

CONSUMERS_GROUP = "consumers"


def build_consumer_specs(project: DbtProject) -> Sequence[dg.AssetSpec]:
    """One external asset an exposure, downstream of the models that it reads, keyed ["consumers", name]."""
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    translator = ModelTranslator()
    return [
        dg.AssetSpec(
            key=dg.AssetKey([CONSUMERS_GROUP, exposure["name"]]),
            deps=[
                translator.get_asset_spec(manifest, unique_id, project).key
                for unique_id in exposure["depends_on"]["nodes"]
            ],
            group_name=CONSUMERS_GROUP,
            description=exposure["description"],
            owners=[f"team:{exposure['owner']['name']}"],
            kinds={exposure["type"]},
            tags={"layer": CONSUMERS_GROUP, "domain": "dvd_rental"},
        )
        for exposure in manifest["exposures"].values()
    ]
