"""How dbt's models, tests and sources become asset specs and asset check specs."""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from dvd_rental_pipeline.core.runbook import RUNBOOK
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.transform.test_descriptions import describe_test, runbook_section


class ModelTranslator(DagsterDbtTranslator):
    """dagster-dbt's translation, plus tags, freshness policies, automation conditions and runbook links.

    Freshness policies and automation conditions are by layer: the schema of the model. `domain_freshness` has
    the policies of models that are built from such a domain alone; code versions are by unique id.
    """

    def __init__(
        self,
        manifest: Manifest,
        freshness_policies: Mapping[str, dg.FreshnessPolicy],
        automation_conditions: Mapping[str, dg.AutomationCondition[Any]],
        domain_freshness: Mapping[str, dg.FreshnessPolicy],
        code_versions: Mapping[str, str],
    ) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))
        self._manifest = manifest
        self._freshness_policies = freshness_policies
        self._automation_conditions = automation_conditions
        self._domain_freshness = domain_freshness
        self._code_versions = code_versions
        self._specs: dict[tuple[str, bool], dg.AssetSpec] = {}

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        # dagster-dbt asks for that of a model again for each of its readers and tests.
        request = (unique_id, project is None)
        if request not in self._specs:
            self._specs[request] = self._build_asset_spec(manifest, unique_id, project)
        return self._specs[request]

    def _build_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        with warnings.catch_warnings():
            # One per model: code references are in beta.
            warnings.simplefilter("ignore", dg.BetaWarning)
            spec = super().get_asset_spec(manifest, unique_id, project)
        layer = spec.key.path[0]
        spec = spec.merge_attributes(tags={"layer": layer, **domain_tag(self._manifest.domains_of(unique_id))})
        model = self._manifest.models.get(unique_id)
        if model is None:
            return spec
        return spec.replace_attributes(
            # dagster-dbt appends the SQL, which the code reference shows better.
            description=model.description,
            freshness_policy=self._domain_freshness.get(
                spec.tags.get("domain", ""), self._freshness_policies[layer]
            ),
            automation_condition=self._automation_conditions[layer],
            # dagster-dbt's is a hash of the SQL without its macros and configuration.
            code_version=self._code_versions[unique_id],
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        test = self._manifest.tests[unique_id]
        return spec._replace(
            description=describe_test(test),
            metadata={**spec.metadata, RUNBOOK: runbook_section(test).reference},
        )


def domain_tag(domains: Collection[str]) -> Mapping[str, str]:
    """The tag `domain` of an asset that belongs to `domains`; none if they are several."""
    if len(domains) != 1:
        return {}
    (domain,) = domains
    return {"domain": domain}
